//! The text of every knob.

use crate::Target;
use governor::kernel::knob;
use governor::model::{Bytes, Knob};

pub(crate) const TARGET: Target = Target {
    name: "knob",
    check,
    seeds: &[
        "cpu.idle",
        "cpu.weight",
        "cpu.max",
        "cpu.max.burst",
        "memory.high",
        "memory.swap.max",
        "pids.max",
    ],
};

fn check(bytes: &[u8]) {
    for which in Knob::FILES {
        assert!(knob::same(which, bytes, bytes));
        if let Ok(value) = knob::decode(which, bytes) {
            let mut room = [0; knob::KNOB_TEXT];
            let text = knob::encode(value, &mut room);
            assert_eq!(knob::decode(which, text), Ok(value));
            assert!(knob::same(which, bytes, text));
            for page in [Bytes(4_096), Bytes(65_536)] {
                let shown = knob::shown(value, page);
                assert_eq!(knob::shown(shown, page), shown);
            }
        }
    }
}
