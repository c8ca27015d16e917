//! `/proc/meminfo`.

use crate::Target;
use governor::kernel::meminfo;
use governor::model::Bytes;

pub(crate) const TARGET: Target = Target {
    name: "meminfo",
    check,
    seeds: &["proc_meminfo"],
};

fn check(bytes: &[u8]) {
    if let Ok(found) = meminfo::parse(bytes) {
        let sizes = [
            found.total,
            found.available,
            found.swap_total,
            found.swap_free,
        ];
        for Bytes(size) in sizes.into_iter().flatten() {
            assert_eq!(size % 1_024, 0);
        }
        let longer = crate::with_a_new_line(bytes);
        assert_eq!(meminfo::parse(&longer), Ok(found));
    }
}
