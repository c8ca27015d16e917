//! `/proc/PID/schedstat`.

use crate::Target;
use governor::kernel::schedstat;

pub(crate) const TARGET: Target = Target {
    name: "schedstat",
    check,
    seeds: &["proc_1_schedstat"],
};

fn check(bytes: &[u8]) {
    if let Ok(times) = schedstat::parse(bytes) {
        let (run, wait) = (times.run.micros(), times.wait.micros());
        assert!(run <= u64::MAX / 1_000 && wait <= u64::MAX / 1_000);
        let text = format!("{run}000 {wait}000 {}\n", times.slices);
        assert_eq!(schedstat::parse(text.as_bytes()), Ok(times));
    }
}
