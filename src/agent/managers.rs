//! Who else manages cgroups here: looked at now and then on the side thread, shown in every status, and told in the
//! log once.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::sleep;

use crate::host::{Manager, find_root, managers};

/// Between two looks: each reads the names of all processes, which is for people only.
const APART: Duration = Duration::from_secs(300);

/// Those that were seen at the last look.
pub(super) type Managers = ArcSwap<Vec<Manager>>;

/// Looks until the task is dropped.
pub(super) async fn keep(seen: Arc<Managers>) {
    let root: Option<PathBuf> = find_root().ok().map(|root| root.point);
    loop {
        let found = managers(root.as_deref());
        for one in new(&found, &seen.load()) {
            // A cgroup's path can hold anything.
            let by = one.seen.escape_debug();
            tracing::info!(
                "{} manages cgroups here too ({by}): it {}",
                one.name,
                one.does
            );
        }
        seen.store(Arc::new(found));
        sleep(APART).await;
    }
}

/// Those that were not there before.
fn new<'m>(found: &'m [Manager], before: &'m [Manager]) -> impl Iterator<Item = &'m Manager> {
    let known = |name| before.iter().any(|one| one.name == name);
    found.iter().filter(move |one| !known(one.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_is_told_when_it_was_not_there_at_the_look_before() {
        let manager = |name, seen: &str| Manager {
            name,
            does: "writes",
            seen: seen.to_owned(),
        };
        let before = [manager("koordlet", "process 1")];
        let found = [
            manager("koordlet", "process 2"),
            manager("rubik", "process 3"),
        ];
        let told: Vec<_> = new(&found, &before).map(|one| one.name).collect();
        assert_eq!(told, ["rubik"]);
    }
}
