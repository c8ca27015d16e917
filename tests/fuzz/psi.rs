//! `*.pressure`, and the trigger line.

use crate::Target;
use governor::kernel::psi::{self, StallKind, TRIGGER_MAX};
use governor::model::Span;

pub(crate) const TARGET: Target = Target {
    name: "psi",
    check,
    seeds: &[
        "cpu.pressure",
        "memory.pressure",
        "io.pressure",
        "root_cpu.pressure",
        "proc_pressure_cpu",
    ],
};

fn check(bytes: &[u8]) {
    if let Ok(stall) = psi::parse(bytes) {
        assert_eq!(psi::parse(&crate::with_a_new_line(bytes)), Ok(stall));
        // Cut in the last line, it is never read.
        if let [.., before, _] = bytes
            && *before != b'\n'
        {
            assert!(psi::parse(&bytes[..bytes.len() - 1]).is_err());
        }
        trigger(stall.some, stall.full);
    }
}

fn trigger(threshold: Span, window: Span) {
    let mut room = [0; TRIGGER_MAX];
    if let Ok(line) = psi::trigger(StallKind::Some, threshold, window, &mut room) {
        let wanted = format!("some {} {}\n", threshold.micros(), window.micros());
        assert_eq!(line, wanted.as_bytes());
        // The kernel takes 32 bytes and makes the last one a NUL.
        assert!(line.len() < 32);
    }
}
