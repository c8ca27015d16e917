//! The `governor` program: everything is in the library's `cli` room.

use std::process::ExitCode;

fn main() -> ExitCode {
    governor::cli::main()
}
