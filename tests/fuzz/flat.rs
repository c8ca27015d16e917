//! Flat-keyed files, against a slow and obvious reading of them.

use crate::Target;
use governor::kernel::flat;

pub(crate) const TARGET: Target = Target {
    name: "flat",
    check,
    seeds: &[
        "cpu.stat",
        "root_cpu.stat",
        "memory.stat",
        "memory.events",
        "cgroup.events",
        "cgroup.stat",
        "pids.events",
    ],
};

const LABELS: [&str; 3] = ["usage_usec", "max", "anon"];

fn check(bytes: &[u8]) {
    let found = flat::lookup(bytes, LABELS.map(str::as_bytes)).ok();
    assert_eq!(found, obvious(bytes));
    if found.is_some() {
        let longer = crate::with_a_new_line(bytes);
        assert_eq!(flat::cpu_stat(bytes), flat::cpu_stat(&longer));
        assert_eq!(flat::memory_stat(bytes), flat::memory_stat(&longer));
        assert_eq!(flat::memory_events(bytes), flat::memory_events(&longer));
        assert_eq!(flat::group_events(bytes), flat::group_events(&longer));
        assert_eq!(flat::group_stat(bytes), flat::group_stat(&longer));
        assert_eq!(flat::pids_events(bytes), flat::pids_events(&longer));
    }
}

fn obvious(bytes: &[u8]) -> Option<[Option<u64>; 3]> {
    // One character a byte, so that nothing that is not UTF-8 becomes something else.
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    if !text.is_empty() && !text.ends_with('\n') {
        return None;
    }
    let mut found = [None; 3];
    for line in text.split('\n') {
        let (label, value) = line.split_once(' ').unwrap_or((line, ""));
        if let Some(at) = LABELS.iter().position(|wanted| *wanted == label) {
            let digits = value.chars().all(|c| c.is_ascii_digit());
            let number = value.parse::<u64>().ok().filter(|_| digits)?;
            if found[at].replace(number).is_some() {
                return None;
            }
        }
    }
    Some(found)
}
