//! `/proc/PID/cgroup`.

use crate::Target;
use governor::kernel::self_cgroup;

pub(crate) const TARGET: Target = Target {
    name: "self_cgroup",
    check,
    seeds: &[
        "proc_self_cgroup",
        "proc_hog_cgroup",
        "tests/fuzz/kept/self_cgroup/hybrid",
    ],
};

fn check(bytes: &[u8]) {
    if let Ok(path) = self_cgroup::parse(bytes) {
        assert!(path.starts_with(b"/"));
        assert!(!path.contains(&b'\n'));
        let line = [b"0::", path, b"\n"].concat();
        assert_eq!(self_cgroup::parse(&line), Ok(path));
    }
}
