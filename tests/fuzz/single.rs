//! Files of one value.

use crate::Target;
use governor::kernel::single;
use governor::model::Limit;

pub(crate) const TARGET: Target = Target {
    name: "single",
    check,
    seeds: &[
        "memory.current",
        "memory.max",
        "pids.max",
        "cpu.weight",
        "cpu.idle",
        "cgroup.freeze",
    ],
};

fn check(bytes: &[u8]) {
    let count = single::count(bytes);
    match single::limit(bytes) {
        Ok(Limit::At(value)) => assert_eq!(count, Ok(value)),
        Ok(Limit::Max) => assert!(matches!(bytes, b"max" | b"max\n")),
        Err(_) => assert!(count.is_err()),
    }
    if let Ok(value) = count {
        assert_eq!(single::count(value.to_string().as_bytes()), Ok(value));
    }
    if let Ok(truth) = single::truth(bytes) {
        assert_eq!(count, Ok(u64::from(truth)));
    }
    if let Ok(weight) = single::weight(bytes) {
        assert_eq!(count, Ok(u64::from(weight.get())));
    }
}
