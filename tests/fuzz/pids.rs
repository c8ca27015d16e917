//! `cgroup.procs`.

use crate::Target;
use governor::kernel::pids;

pub(crate) const TARGET: Target = Target {
    name: "pids",
    check,
    seeds: &["tests/fuzz/kept/pids/typical"],
};

fn check(bytes: &[u8]) {
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    let found: Vec<_> = pids::parse(bytes).collect();
    assert!(found.len() <= lines);
    for pid in found.iter().flatten() {
        assert!((1..=i32::MAX.unsigned_abs()).contains(pid));
    }
    // One more process does not change the others, and one that was cut is not there.
    let whole = bytes.len()
        - bytes
            .iter()
            .rev()
            .take_while(|byte| **byte != b'\n')
            .count();
    let more: Vec<_> = pids::parse(&[&bytes[..whole], b"7\n12"].concat()).collect();
    assert_eq!(more.split_last(), Some((&Ok(7), &found[..])));
}
