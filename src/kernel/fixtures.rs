//! The kernel files captured word for word from real kernels, for tests.
#![allow(
    clippy::disallowed_methods,
    reason = "tests read the captured kernel files"
)]

/// Which kernel a file was captured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kernel {
    V6_1,
    V6_12,
}

impl Kernel {
    pub(crate) const BOTH: [Kernel; 2] = [Kernel::V6_1, Kernel::V6_12];
}

/// The captured file, byte for byte.
pub(crate) fn read(kernel: Kernel, file: &str) -> Vec<u8> {
    let dir = match kernel {
        Kernel::V6_1 => "6.1",
        Kernel::V6_12 => "6.12",
    };
    let path = format!("{}/tests/fixtures/{dir}/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}
