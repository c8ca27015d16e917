//! `cpu.max`.

use crate::Target;
use governor::kernel::cpu_max;

pub(crate) const TARGET: Target = Target {
    name: "cpu_max",
    check,
    seeds: &["cpu.max"],
};

fn check(bytes: &[u8]) {
    if let Ok(value) = cpu_max::parse(bytes) {
        let mut room = [0; cpu_max::CPU_MAX_TEXT];
        let text = cpu_max::write(value, &mut room);
        assert_eq!(cpu_max::parse(text), Ok(value));
    }
}
