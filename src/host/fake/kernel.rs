//! What Linux does with a group's files: what a new group has, and what becomes of a write.
//!
//! Only as far as the governor can tell the difference; `tests/kernel` holds the real one to the
//! same claims.

use super::super::files::HostFile;
use super::state::Files;
use crate::kernel::knob::{KNOB_TEXT, decode, encode, shown};
use crate::kernel::nested;
use crate::model::{Absent, Bytes, IoMax, Knob, KnobValue, Limit, Reading, Span};

const PAGE: Bytes = Bytes(4096);

/// The largest limit of tasks (`PID_MAX_LIMIT`, where a long has 64 bits).
const PIDS_MOST: u64 = 4_194_304;

/// The least quota and period, and the longest period.
const CPU_MAX_LEAST: Span = Span(1_000);
const CPU_PERIOD_MOST: Span = Span(1_000_000);

const PRESSURE: &str = "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n\
                        full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";

/// `cgroup.events` of a group.
pub(super) fn events(populated: bool) -> Vec<u8> {
    format!("populated {}\nfrozen 0\n", u8::from(populated)).into_bytes()
}

/// The files of a new group with all controllers, and with somebody in it or below.
pub(super) fn new_group_files() -> Files {
    let files = [
        ("cgroup.controllers", "cpu io memory pids\n"),
        ("cgroup.subtree_control", "cpu io memory pids\n"),
        ("cgroup.events", "populated 1\nfrozen 0\n"),
        ("cgroup.freeze", "0\n"),
        ("cgroup.procs", ""),
        ("cgroup.threads", ""),
        ("cpu.idle", "0\n"),
        ("cpu.max", "max 100000\n"),
        ("cpu.max.burst", "0\n"),
        ("cpu.pressure", PRESSURE),
        (
            "cpu.stat",
            "usage_usec 0\nuser_usec 0\nsystem_usec 0\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n",
        ),
        ("cpu.weight", "100\n"),
        ("io.max", ""),
        ("io.pressure", PRESSURE),
        ("io.stat", ""),
        ("memory.current", "0\n"),
        ("memory.high", "max\n"),
        ("memory.max", "max\n"),
        ("memory.pressure", PRESSURE),
        ("memory.swap.current", "0\n"),
        ("memory.swap.max", "max\n"),
        ("pids.current", "0\n"),
        ("pids.max", "max\n"),
    ];
    collect(&files)
}

/// The files of the root, which has no knobs.
pub(super) fn root_files() -> Files {
    let files = [
        ("cgroup.controllers", "cpuset cpu io memory pids\n"),
        ("cgroup.subtree_control", "cpu io memory pids\n"),
        ("cgroup.procs", "2\n3\n"),
        ("cpu.pressure", PRESSURE),
        ("cpu.stat", "usage_usec 0\nuser_usec 0\nsystem_usec 0\n"),
        ("io.stat", ""),
        ("memory.pressure", PRESSURE),
    ];
    collect(&files)
}

/// A file of a calm host.
pub(super) const fn host_file(file: HostFile) -> &'static [u8] {
    match file {
        HostFile::Stat => {
            b"cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\ncpu1 0 0 0 0 0 0 0 0 0 0\nintr 0\n"
        }
        HostFile::Meminfo => {
            b"MemTotal: 1048576 kB\nMemAvailable: 786432 kB\nSwapTotal: 524288 kB\nSwapFree: 524288 kB\n"
        }
        HostFile::Loadavg => b"0.00 0.00 0.00 1/100 200\n",
        HostFile::CpuPressure => PRESSURE.as_bytes(),
        HostFile::ThreadsMax => b"7000\n",
        HostFile::PidMax => b"32768\n",
    }
}

fn collect(files: &[(&str, &str)]) -> Files {
    files
        .iter()
        .map(|&(name, text)| (name.to_owned(), text.as_bytes().to_vec()))
        .collect()
}

/// One write to a file of a group.
pub(super) fn write(files: &mut Files, file: &str, text: &[u8]) -> Reading<()> {
    let standing = files.get(file).ok_or(Absent::NoFile)?;
    if file == "io.max" {
        let lines = with_limit(standing, text)?;
        files.insert(file.to_owned(), lines);
        return Ok(());
    }
    let Some(knob) = Knob::from_file(file) else {
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let text = [text, b"\n"].concat();
        files.insert(file.to_owned(), text);
        return Ok(());
    };
    let was_idle = decode(knob, standing) == Ok(KnobValue::Idle(true));
    let value = decode(knob, text).map_err(|_| Absent::Refused)?;
    if is_refused(files, value) {
        return Err(Absent::Refused);
    }
    put(files, knob, shown(value, PAGE));
    match value {
        KnobValue::Idle(true) => {
            files.insert(Knob::CpuWeight.file().to_owned(), b"0\n".to_vec());
        }
        KnobValue::Idle(false) if was_idle => {
            files.insert(Knob::CpuWeight.file().to_owned(), b"100\n".to_vec());
        }
        _ => {}
    }
    Ok(())
}

/// The lines of `io.max` after a write of one: a device without any limit has none.
fn with_limit(standing: &[u8], text: &[u8]) -> Reading<Vec<u8>> {
    let (device, max) = nested::io_max_line(text).map_err(|_| Absent::Refused)?;
    let mut all = Vec::new();
    for line in nested::io_max(standing)? {
        all.push(line?);
    }
    all.retain(|(of, _)| *of != device);
    all.push((device, max));
    let mut lines = Vec::new();
    for (device, max) in all {
        let value = shown(KnobValue::IoMax(device, max), PAGE);
        if value != KnobValue::IoMax(device, IoMax::NONE) {
            let mut room = [0; KNOB_TEXT];
            lines.extend([encode(value, &mut room), b"\n"].concat());
        }
    }
    Ok(lines)
}

/// What the kernel refuses because of the value or of another knob.
fn is_refused(files: &Files, value: KnobValue) -> bool {
    match value {
        KnobValue::Frozen(_)
        | KnobValue::Pulses(_)
        | KnobValue::Idle(_)
        | KnobValue::Bytes(_)
        | KnobValue::Tasks(Limit::Max)
        | KnobValue::IoMax(..) => false,
        KnobValue::Tasks(Limit::At(tasks)) => tasks > PIDS_MOST,
        KnobValue::Weight(_) => held(files, Knob::CpuIdle) == Some(KnobValue::Idle(true)),
        KnobValue::CpuMax(max) => {
            let burst = match held(files, Knob::CpuMaxBurst) {
                Some(KnobValue::Burst(burst)) => burst,
                _ => Span::ZERO,
            };
            let small = match max.quota {
                Limit::Max => false,
                Limit::At(quota) => quota < CPU_MAX_LEAST || quota < burst,
            };
            small || max.period < CPU_MAX_LEAST || max.period > CPU_PERIOD_MOST
        }
        KnobValue::Burst(burst) => match held(files, Knob::CpuMax) {
            Some(KnobValue::CpuMax(max)) => match max.quota {
                Limit::Max => false,
                Limit::At(quota) => burst > quota,
            },
            _ => false,
        },
    }
}

fn held(files: &Files, knob: Knob) -> Option<KnobValue> {
    decode(knob, files.get(knob.file())?).ok()
}

fn put(files: &mut Files, knob: Knob, value: KnobValue) {
    let mut room = [0; KNOB_TEXT];
    let text = [encode(value, &mut room), b"\n"].concat();
    files.insert(knob.file().to_owned(), text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(files: &Files, file: &str) -> String {
        String::from_utf8(files[file].clone()).unwrap()
    }

    #[test]
    fn a_size_is_rounded_down_to_pages() {
        let mut files = new_group_files();
        write(&mut files, "memory.high", b"10000").unwrap();
        assert_eq!(text(&files, "memory.high"), "8192\n");
    }

    #[test]
    fn an_idle_group_takes_no_weight_and_forgets_the_one_it_had() {
        let mut files = new_group_files();
        write(&mut files, "cpu.weight", b"37").unwrap();
        write(&mut files, "cpu.idle", b"1").unwrap();
        assert_eq!(text(&files, "cpu.weight"), "0\n");
        assert_eq!(write(&mut files, "cpu.weight", b"37"), Err(Absent::Refused));
        write(&mut files, "cpu.idle", b"0").unwrap();
        assert_eq!(text(&files, "cpu.weight"), "100\n");
    }

    #[test]
    fn a_quota_below_the_burst_is_refused_and_a_burst_above_the_quota_too() {
        let mut files = new_group_files();
        write(&mut files, "cpu.max", b"50000 100000").unwrap();
        write(&mut files, "cpu.max.burst", b"20000").unwrap();
        let refused = Err(Absent::Refused);
        assert_eq!(write(&mut files, "cpu.max", b"10000 100000"), refused);
        assert_eq!(write(&mut files, "cpu.max.burst", b"60000"), refused);
        assert_eq!(write(&mut files, "cpu.max", b"500 100000"), refused);
        assert_eq!(write(&mut files, "cpu.weight", b"0"), refused);
        assert_eq!(text(&files, "cpu.max"), "50000 100000\n");
    }

    #[test]
    fn a_limit_of_one_device_leaves_those_of_others_and_goes_with_its_last_number() {
        let mut files = new_group_files();
        write(&mut files, "io.max", b"8:0 rbps=1048576").unwrap();
        write(
            &mut files,
            "io.max",
            b"8:16 rbps=max wbps=max riops=9 wiops=max",
        )
        .unwrap();
        let first = "8:0 rbps=1048576 wbps=max riops=max wiops=max\n";
        let both = format!("{first}8:16 rbps=max wbps=max riops=9 wiops=max\n");
        assert_eq!(text(&files, "io.max"), both);
        write(
            &mut files,
            "io.max",
            b"8:16 rbps=max wbps=max riops=max wiops=max",
        )
        .unwrap();
        assert_eq!(text(&files, "io.max"), first);
        let refused = Err(Absent::Refused);
        assert_eq!(write(&mut files, "io.max", b"sda rbps=1"), refused);
    }

    #[test]
    fn a_file_that_is_not_there_is_not_made() {
        let mut files = root_files();
        assert_eq!(write(&mut files, "cpu.weight", b"50"), Err(Absent::NoFile));
    }
}
