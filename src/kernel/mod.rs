//! Text of kernel files to and from types: one grammar, one file.
//!
//! | module | grammar | files |
//! |---|---|---|
//! | [`psi`] | `some avg10=… total=N` | `*.pressure`, `/proc/pressure/*`; trigger lines |
//! | [`flat`] | `label value` a line | `cpu.stat`, `memory.stat`, `memory.events`, `cgroup.events`, … |
//! | [`nested`] | `MAJ:MIN key=value …` a line | `io.stat`, `io.max` |
//! | [`single`] | one number, or `max` | `memory.*`, `pids.*`, `cpu.weight`, `cpu.idle`, … |
//! | [`cpu_max`] | `quota period` | `cpu.max` |
//! | [`knob`] | the text of a [`Knob`](crate::model::Knob) | the files that we hold |
//! | [`controllers`] | words on one line | `cgroup.controllers`, `cgroup.subtree_control` |
//! | [`proc_stat`] | columns after `cpu` | `/proc/stat` |
//! | [`loadavg`] | columns on one line | `/proc/loadavg` |
//! | [`meminfo`] | `Label: N kB` a line | `/proc/meminfo` |
//! | [`schedstat`] | three numbers | `/proc/PID/schedstat` |
//! | [`pids`] | one number a line | `cgroup.procs` |
//! | [`mountinfo`] | columns, octal escapes | `/proc/self/mountinfo` |
//! | [`self_cgroup`] | `0::/path` | `/proc/PID/cgroup` |
//! | [`boot_config`] | `CONFIG_X=value` a line | `/boot/config-*` |
//!
//! The rules, for all of them:
//!
//! - Values are found by label, never by the number of their line, and labels that we do not know
//!   are skipped: kernels add some in every release, and in the middle.
//! - Exact or [`Malformed`](crate::model::Absent::Malformed): a number is decimal digits that fit,
//!   nothing is guessed, no missing label becomes 0 unless its function says so and why.
//! - "No limit" is [`Limit::Max`](crate::model::Limit::Max).
//! - A text that does not end with a newline was cut by a short buffer, and its last number may
//!   have lost digits: it is malformed. Only files of one value are taken without a newline too,
//!   because originals are kept without. A text that was cut *at* a newline cannot be told from a
//!   whole one: a caller whose buffer was filled to the last byte must read again with more room.
//! - Bytes in, plain values out. Only [`mountinfo`] allocates, which is read once
//!   (`tests/codec_alloc.rs` holds the others to it), and no byte string makes any of them panic
//!   (`tests/fuzz/`).

pub mod boot_config;
pub mod controllers;
pub mod cpu_max;
pub mod flat;
pub mod knob;
pub mod loadavg;
pub mod meminfo;
pub mod mountinfo;
pub mod nested;
pub mod pids;
pub mod proc_stat;
pub mod psi;
pub mod schedstat;
pub mod self_cgroup;
pub mod single;

#[cfg(test)]
mod fixtures;
mod text;
