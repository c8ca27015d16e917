//! The policy file: TOML that anybody may have written.

use crate::Target;
use governor::config;

pub(crate) const TARGET: Target = Target {
    name: "policy",
    check,
    seeds: &["config/governor.toml"],
};

fn check(bytes: &[u8]) {
    if let Err(problems) = config::parse_bytes(bytes) {
        assert!(problems.count() > 0);
        assert!(!problems.render("fuzz.toml").is_empty());
    }
}
