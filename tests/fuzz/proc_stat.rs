//! `/proc/stat`.

use crate::Target;
use governor::kernel::proc_stat;

pub(crate) const TARGET: Target = Target {
    name: "proc_stat",
    check,
    seeds: &["proc_stat"],
};

fn check(bytes: &[u8]) {
    if let Ok(times) = proc_stat::parse(bytes) {
        assert!(times.online >= 1);
        assert_eq!(times.idle.micros() % 10_000, 0);
        // More of the file changes nothing: where it was cut was behind the CPUs.
        let longer = [bytes, b"\nsoftirq 1 2 3\n"].concat();
        assert_eq!(proc_stat::parse(&longer), Ok(times));
    }
}
