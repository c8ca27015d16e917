//! What was measured, as rows of a markdown table on standard output; `tests/kernel/run` keeps them.

use crate::load::{Latency, Window};

/// The kernel under test, as the lab calls it; on another host, its own release.
pub(crate) fn kernel() -> String {
    std::env::var("LAB_KERNEL").unwrap_or_else(|_| {
        let name = rustix::system::uname();
        name.release().to_string_lossy().into_owned()
    })
}

/// Begins a table with these columns after the kernel's.
pub(crate) fn head(columns: &[&str]) {
    println!("\n| kernel | {} |", columns.join(" | "));
    println!("|---{}|", "|---".repeat(columns.len()));
}

/// Prints one row: the kernel, then these cells.
pub(crate) fn row(cells: &[String]) {
    println!("| {} | {} |", kernel(), cells.join(" | "));
}

/// `p50 / p99` in milliseconds.
pub(crate) fn latencies(window: &Window) -> String {
    format!(
        "{} / {}",
        ms(window.percentile(0.5)),
        ms(window.percentile(0.99))
    )
}

/// How many of the requests that were due were answered in the window.
pub(crate) fn answered(window: &Window) -> String {
    format!("{:.0} % of {}", window.answered() * 100.0, window.due())
}

/// Milliseconds, with as many digits as matter.
pub(crate) fn ms(latency: Latency) -> String {
    match latency {
        Latency::After(us) if us < 100_000 => format!("{:.1}", us as f64 / 1000.0),
        Latency::After(us) => format!("{:.0}", us as f64 / 1000.0),
        Latency::Never => "never".to_owned(),
    }
}
