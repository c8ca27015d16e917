//! What a container did on a device as the values of one reading of a tick, and back.

use super::tick::{Plain, VALUES};
use crate::model::{Bytes, Device, IoUse, PerDevice, Reading};

/// The values of the device at this place; zeros where there is none.
pub(super) fn out(io: &Reading<PerDevice<IoUse>>, at: usize) -> [u64; VALUES] {
    let found = io.iter().flat_map(PerDevice::iter).nth(at);
    found.map_or([0; VALUES], |(device, used)| {
        // The first value is one more than the device's number: 0 is none.
        let number = u64::from(device.major) << 32 | u64::from(device.minor);
        let (Bytes(rbytes), Bytes(wbytes)) = (used.rbytes, used.wbytes);
        [number.wrapping_add(1), rbytes, wbytes, used.rios, used.wios]
    })
}

/// The devices of so many readings.
pub(super) fn all_in(readings: &[Plain]) -> PerDevice<IoUse> {
    let mut all = PerDevice::NONE;
    for &[number, rbytes, wbytes, rios, wios] in readings.iter().flatten() {
        let Some(number) = number.checked_sub(1) else {
            continue;
        };
        let device = Device {
            major: (number >> 32) as u32,
            minor: number as u32,
        };
        let used = IoUse {
            rbytes: Bytes(rbytes),
            wbytes: Bytes(wbytes),
            rios,
            wios,
        };
        all.put(device, used, IoUse::cost);
    }
    all
}
