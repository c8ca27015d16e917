//! `io.stat` and `io.max`.

use crate::Target;
use governor::kernel::nested;

pub(crate) const TARGET: Target = Target {
    name: "nested",
    check,
    seeds: &["io.stat", "root_io.stat", "io.max"],
};

fn check(bytes: &[u8]) {
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    if let Ok(stats) = nested::io_stat(bytes) {
        assert!(stats.count() <= lines);
    }
    let Ok(maxima) = nested::io_max(bytes) else {
        return;
    };
    for (device, max) in maxima.flatten() {
        let mut room = [0; nested::IO_MAX_TEXT];
        let mut text = nested::write_io_max(device, max, &mut room).to_vec();
        text.extend(b"\n");
        let again = nested::io_max(&text).map(Iterator::collect::<Vec<_>>);
        assert_eq!(again, Ok(vec![Ok((device, max))]));
    }
}
