//! A recording, as a broken disk or a stranger may have made it.
//!
//! Nothing would get past the CRC of a block by chance, so the bytes are the frames of one that is
//! sealed first, but where the first byte asks for them to be left as they are.

use crate::Target;
use governor::trace::{Damage, Frame, Reader, Writer, seal};

pub(crate) const TARGET: Target = Target {
    name: "trace",
    check,
    seeds: &[
        "tests/fuzz/kept/trace/frames",
        "tests/fuzz/kept/trace/blocks",
    ],
};

fn check(bytes: &[u8]) {
    let mut trace = Vec::new();
    match bytes.split_first() {
        Some((b'!', rest)) => trace.extend_from_slice(rest),
        _ => seal(bytes, &mut trace).expect("a short block fits"),
    }
    let (frames, damages) = read(&trace);
    let told: u64 = damages
        .iter()
        .map(|damage| match damage {
            Damage::Skipped { at, bytes } | Damage::Torn { at, bytes } => {
                assert!(at + bytes <= trace.len() as u64, "{damage}");
                *bytes
            }
            _ => 0,
        })
        .sum();
    assert!(told <= trace.len() as u64, "a byte is told twice");
    written_and_read_again(&frames);
    // What follows is read whatever stands before it, unless it is refused as a whole.
    let sound = sealed(&[Frame::Checkpoint("sound".to_owned())]);
    if damages.iter().all(|damage| !damage.is_final()) {
        let (after, _) = read(&[trace, sound].concat());
        assert_eq!(after.len(), frames.len() + 1);
    }
}

fn read(trace: &[u8]) -> (Vec<Frame>, Vec<Damage>) {
    let (mut frames, mut damages) = (Vec::new(), Vec::new());
    for item in Reader::new(trace) {
        match item {
            Ok(frame) => frames.push(frame),
            Err(damage) => damages.push(damage),
        }
    }
    (frames, damages)
}

fn sealed(frames: &[Frame]) -> Vec<u8> {
    let (mut writer, mut trace) = (Writer::new(), Vec::new());
    for frame in frames {
        writer.frame(frame, &mut trace).expect("what was read fits");
    }
    writer
        .finish(&mut trace)
        .expect("a block that is not full fits");
    trace
}

fn written_and_read_again(frames: &[Frame]) {
    let (again, damages) = read(&sealed(frames));
    assert!(damages.is_empty(), "{damages:?}");
    assert_eq!(again, frames);
}
