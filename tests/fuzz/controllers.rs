//! `cgroup.controllers`.

use crate::Target;
use governor::kernel::controllers::{self, Controller};

pub(crate) const TARGET: Target = Target {
    name: "controllers",
    check,
    seeds: &["cgroup.controllers", "cgroup.subtree_control"],
};

fn check(bytes: &[u8]) {
    if let Ok(set) = controllers::parse(bytes) {
        let words: Vec<&str> = set.iter().map(Controller::word).collect();
        let text = format!("{}\n", words.join(" "));
        assert_eq!(controllers::parse(text.as_bytes()), Ok(set));
    }
}
