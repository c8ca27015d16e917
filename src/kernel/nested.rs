//! Nested-keyed files: `MAJ:MIN key=value …` a line. `io.stat` and `io.max`.
//!
//! ```text
//! 254:16 rbytes=6287360 wbytes=25681920 rios=1535 wios=6270 dbytes=0 dios=0
//! 254:0 rbps=max wbps=8388608 riops=max wiops=120
//! ```
//!
//! Some kernels print a device that has no numbers yet without its newline, so that several stand
//! on one line before the keys (`7:0 8:0 rbytes=…`): keys belong to the last device before them.

use super::text::{Pen, limit, lines, number, number32, one_line, split_once, words};
use crate::model::{Absent, Bytes, Device, IoMax, IoUse, Limit, Reading};

/// Room for the longest line of `io.max`: a device, four keys, four numbers.
pub const IO_MAX_TEXT: usize = 128;

/// What a cgroup did on one device, cumulative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoStat {
    /// Read.
    pub rbytes: Bytes,
    /// Written, writeback included.
    pub wbytes: Bytes,
    /// Reads.
    pub rios: u64,
    /// Writes.
    pub wios: u64,
    /// Discarded.
    pub dbytes: Bytes,
    /// Discards.
    pub dios: u64,
}

impl IoStat {
    /// What of it counts as use: discards move nothing.
    #[must_use]
    pub const fn used(&self) -> IoUse {
        IoUse {
            rbytes: self.rbytes,
            wbytes: self.wbytes,
            rios: self.rios,
            wios: self.wios,
        }
    }
}

/// The devices of `io.stat`, in no order. An empty file has none. A key that is missing is zero:
/// the kernel leaves out discards it does not count.
///
/// # Errors
/// [`Absent::Malformed`] if the text was cut; and by itself each line that does not begin with a
/// device or has a known key without a number.
pub fn io_stat(text: &[u8]) -> Reading<impl Iterator<Item = Reading<(Device, IoStat)>>> {
    Ok(lines(text)?.filter_map(|line| {
        device_line(line, IoStat::default(), |stat, key, value| {
            let place = match key {
                b"rbytes" => &mut stat.rbytes.0,
                b"wbytes" => &mut stat.wbytes.0,
                b"rios" => &mut stat.rios,
                b"wios" => &mut stat.wios,
                b"dbytes" => &mut stat.dbytes.0,
                b"dios" => &mut stat.dios,
                _ => return Ok(()),
            };
            *place = number(value)?;
            Ok(())
        })
        .transpose()
    }))
}

/// The devices of `io.max`: those that have a limit.
///
/// # Errors
/// Like [`io_stat`].
pub fn io_max(text: &[u8]) -> Reading<impl Iterator<Item = Reading<(Device, IoMax)>>> {
    Ok(lines(text)?.filter_map(|line| max_of_line(line).transpose()))
}

fn max_of_line(line: &[u8]) -> Reading<Option<(Device, IoMax)>> {
    device_line(line, IoMax::NONE, |max, key, value| {
        match key {
            b"rbps" => max.rbps = in_bytes(limit(value)?),
            b"wbps" => max.wbps = in_bytes(limit(value)?),
            b"riops" => max.riops = limit(value)?,
            b"wiops" => max.wiops = limit(value)?,
            _ => {}
        }
        Ok(())
    })
}

/// What `io.max` says of one device; [`IoMax::NONE`] where it does not name it.
///
/// # Errors
/// Like [`io_max`], also for a bad line of another device: which one it is of cannot be told.
pub fn io_max_of(text: &[u8], device: Device) -> Reading<IoMax> {
    for line in io_max(text)? {
        let (of, max) = line?;
        if of == device {
            return Ok(max);
        }
    }
    Ok(IoMax::NONE)
}

/// One line of `io.max`, with or without its newline.
///
/// # Errors
/// [`Absent::Malformed`] where it is not one device with limits.
pub fn io_max_line(text: &[u8]) -> Reading<(Device, IoMax)> {
    max_of_line(one_line(text))?.ok_or(Absent::Malformed)
}

/// One line to write into `io.max`, which is also what the kernel shows afterwards, without a
/// newline. (It shows no line where nothing is limited, and caps operations at 32 bits.)
pub fn write_io_max(device: Device, max: IoMax, room: &mut [u8; IO_MAX_TEXT]) -> &[u8] {
    put(device, max, Pen::new(room)).finish()
}

pub(super) fn put(device: Device, max: IoMax, pen: Pen<'_>) -> Pen<'_> {
    let bytes = |limit| match limit {
        Limit::Max => Limit::Max,
        Limit::At(Bytes(value)) => Limit::At(value),
    };
    let keys: [(&[u8], Limit<u64>); 4] = [
        (b" rbps=", bytes(max.rbps)),
        (b" wbps=", bytes(max.wbps)),
        (b" riops=", max.riops),
        (b" wiops=", max.wiops),
    ];
    let pen = pen
        .number(u64::from(device.major))
        .bytes(b":")
        .number(u64::from(device.minor));
    keys.into_iter().fold(pen, |pen, (key, limit)| match limit {
        Limit::Max => pen.bytes(key).bytes(b"max"),
        Limit::At(value) => pen.bytes(key).number(value),
    })
}

fn in_bytes(limit: Limit<u64>) -> Limit<Bytes> {
    match limit {
        Limit::Max => Limit::Max,
        Limit::At(value) => Limit::At(Bytes(value)),
    }
}

/// The last device of a line with what `take` makes of its keys; nothing where no key follows.
fn device_line<T>(
    line: &[u8],
    mut value: T,
    mut take: impl FnMut(&mut T, &[u8], &[u8]) -> Reading<()>,
) -> Reading<Option<(Device, T)>> {
    let mut device = None;
    let mut keys = false;
    for word in words(line) {
        match split_once(word, b'=') {
            Some((key, text)) => {
                take(&mut value, key, text)?;
                keys = true;
            }
            // A bare word after the keys is none of ours (io.cost prints such).
            None if keys => {}
            None => device = Some(parse_device(word)?),
        }
    }
    match device {
        Some(device) => Ok(keys.then_some((device, value))),
        None if keys => Err(Absent::Malformed),
        None => Ok(None),
    }
}

fn parse_device(word: &[u8]) -> Reading<Device> {
    let (major, minor) = split_once(word, b':').ok_or(Absent::Malformed)?;
    Ok(Device {
        major: number32(major)?,
        minor: number32(minor)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::fixtures::{self, Kernel};
    use proptest::prelude::*;

    fn device(major: u32, minor: u32) -> Device {
        Device { major, minor }
    }

    fn stats(text: &[u8]) -> Vec<Reading<(Device, IoStat)>> {
        io_stat(text).expect("whole").collect()
    }

    fn maxima(text: &[u8]) -> Vec<Reading<(Device, IoMax)>> {
        io_max(text).expect("whole").collect()
    }

    #[test]
    fn io_stat_of_both_kernels_is_read() {
        let stat = |rbytes, wbytes, rios, wios| IoStat {
            rbytes: Bytes(rbytes),
            wbytes: Bytes(wbytes),
            rios,
            wios,
            dbytes: Bytes(0),
            dios: 0,
        };
        let table = [
            (
                Kernel::V6_1,
                [
                    Ok((device(254, 16), stat(6_287_360, 25_681_920, 1_535, 6_270))),
                    Ok((device(254, 0), stat(2_048, 16_777_216, 2, 140))),
                ],
            ),
            (
                Kernel::V6_12,
                [
                    Ok((device(254, 16), stat(163_840, 540_672, 40, 132))),
                    Ok((device(254, 0), stat(2_048, 4_194_304, 2, 19))),
                ],
            ),
        ];
        for (kernel, wanted) in table {
            assert_eq!(stats(&fixtures::read(kernel, "io.stat")), wanted);
            assert_eq!(stats(&fixtures::read(kernel, "root_io.stat")).len(), 2);
        }
    }

    #[test]
    fn io_max_of_both_kernels_is_read_and_written_back_byte_for_byte() {
        for kernel in Kernel::BOTH {
            let text = fixtures::read(kernel, "io.max");
            let max = IoMax {
                wbps: Limit::At(Bytes(8_388_608)),
                wiops: Limit::At(120),
                ..IoMax::NONE
            };
            assert_eq!(maxima(&text), [Ok((device(254, 0), max))]);
            let mut room = [0; IO_MAX_TEXT];
            let again = write_io_max(device(254, 0), max, &mut room);
            assert_eq!([again, b"\n"].concat(), text);
        }
    }

    #[test]
    fn keys_belong_to_the_last_device_before_them() {
        let found = stats(b"7:0 7:1 8:0 rbytes=5 rios=1\n7:2 \n\n9:0\n8:16 wios=2 use_delay=0\n");
        let devices: Vec<Device> = found.iter().flatten().map(|found| found.0).collect();
        assert_eq!(devices, [device(8, 0), device(8, 16)]);
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn one_bad_line_leaves_the_others() {
        let found = stats(b"rbytes=1\n8:0 rbytes=x\nsda rbytes=1\n8:16 rbytes=9 new=y\n");
        assert_eq!(found.len(), 4);
        assert_eq!(found[..3], [Err(Absent::Malformed); 3]);
        assert!(found[3].is_ok_and(|(_, stat)| stat.rbytes == Bytes(9)));
    }

    #[test]
    fn a_cut_text_is_malformed_and_an_empty_one_has_no_device() {
        assert!(io_stat(b"8:0 rbytes=12").is_err());
        assert!(io_max(b"8:0 rbps=12").is_err());
        assert_eq!(stats(b""), []);
    }

    proptest! {
        #[test]
        fn any_limit_comes_back(
            major: u32,
            minor: u32,
            values in prop::array::uniform4(any::<Option<u64>>()),
        ) {
            let limit = |value: Option<u64>| value.map_or(Limit::Max, Limit::At);
            let max = IoMax {
                rbps: in_bytes(limit(values[0])),
                wbps: in_bytes(limit(values[1])),
                riops: limit(values[2]),
                wiops: limit(values[3]),
            };
            let mut room = [0; IO_MAX_TEXT];
            let mut text = write_io_max(device(major, minor), max, &mut room).to_vec();
            prop_assert!(!text.is_empty());
            text.push(b'\n');
            prop_assert_eq!(maxima(&text), [Ok((device(major, minor), max))]);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = io_stat(&bytes).map(Iterator::count);
            let _ = io_max(&bytes).map(Iterator::count);
        }
    }
}
