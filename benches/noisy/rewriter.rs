//! A manager of cgroups that believes to know what stands in a knob, and writes it at its own pace.

use clap::Args;
use std::path::PathBuf;
use std::time::{Duration, Instant};

#[derive(Args)]
pub(crate) struct Rewriter {
    /// The file; it must exist.
    #[arg(long)]
    file: PathBuf,
    /// What it writes.
    #[arg(long)]
    text: String,
    /// The time between two writes.
    #[arg(long, value_parser = super::span, default_value = "1s")]
    every: Duration,
    /// How long it goes on; the first write is made in any case.
    #[arg(long = "for", value_parser = super::span)]
    span: Duration,
}

pub(crate) fn run(rewriter: &Rewriter) -> anyhow::Result<()> {
    let end = Instant::now() + rewriter.span;
    loop {
        let mut file = std::fs::File::options().write(true).open(&rewriter.file)?;
        std::io::Write::write_all(&mut file, rewriter.text.as_bytes())?;
        if Instant::now() + rewriter.every > end {
            return Ok(());
        }
        std::thread::sleep(rewriter.every);
    }
}
