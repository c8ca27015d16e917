//! `/boot/config-*`.

use crate::Target;
use governor::kernel::boot_config;

pub(crate) const TARGET: Target = Target {
    name: "boot_config",
    check,
    seeds: &["tests/fuzz/kept/boot_config/typical"],
};

fn check(bytes: &[u8]) {
    if let Ok(hz) = boot_config::hz(bytes) {
        assert!((1..=10_000).contains(&hz));
        // A later line does not change it: the first counts, as for a shell that sources none.
        assert_eq!(boot_config::hz(&crate::with_a_new_line(bytes)), Ok(hz));
    }
}
