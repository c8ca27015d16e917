//! `/proc/loadavg`.

use crate::Target;
use governor::kernel::loadavg;

pub(crate) const TARGET: Target = Target {
    name: "loadavg",
    check,
    seeds: &["proc_loadavg"],
};

fn check(bytes: &[u8]) {
    if let Ok(tasks) = loadavg::tasks(bytes) {
        let plain = format!("0.00 0.00 0.00 1/{tasks} 1\n");
        assert_eq!(loadavg::tasks(plain.as_bytes()), Ok(tasks));
    }
}
