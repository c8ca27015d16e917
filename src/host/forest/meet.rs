//! What becomes of a group that was just opened.

use super::access::Standing;
use super::walk::Walk;
use super::{Forest, Kind, Node};
use crate::host::files::{Opened, TreeFiles};
use crate::host::recognise::recognise;
use crate::model::{Absent, GroupId};

impl<T: TreeFiles> Forest<T> {
    /// Takes in a child that was just opened: as a vacant one, where it is a container with nobody in it.
    pub(super) fn meet(
        &mut self,
        opened: Opened<T::Dir>,
        parent: GroupId,
        path: Vec<u8>,
        walk: &mut Walk<'_>,
    ) -> GroupId {
        let is_top = recognise(&path, walk.is_container).is_some();
        if is_top && self.is_vacant(&opened) {
            return self.vacants.add(opened, parent, path, self.walks);
        }
        self.admit(opened, Some(parent), path, walk)
    }

    /// Makes a group known.
    pub(super) fn admit(
        &mut self,
        opened: Opened<T::Dir>,
        parent: Option<GroupId>,
        path: Vec<u8>,
        walk: &mut Walk<'_>,
    ) -> GroupId {
        let Opened { dir, id, owner } = opened;
        walk.scan.changed = true;
        let kind = recognise(&path, walk.is_container).map_or(Kind::Inner, Kind::Top);
        let knobs = Standing::read(&mut self.files, &dir);
        let node = Node {
            dir,
            parent,
            path,
            owner,
            kind,
            knobs,
            children: Vec::new(),
            stale: true,
            watched: false,
            left_out: 0,
            complete: false,
            walk: 0,
        };
        self.nodes.insert(id, node);
        id
    }

    /// What a group is that no path tells to be a container.
    pub(super) fn kind(&mut self, node: &Node<T::Dir>, has_children: bool) -> Kind {
        let name = node.path.rsplit(|&byte| byte == b'/').next();
        let name = name.unwrap_or_default();
        if node.parent.is_none() || name.ends_with(b".slice") {
            return Kind::Inner;
        }
        let is_unit = UNITS.iter().any(|suffix| name.ends_with(suffix));
        if (is_unit && !has_children) || self.has_processes(node) {
            Kind::Service
        } else {
            Kind::Inner
        }
    }

    /// Whether processes are in the group itself. One byte tells.
    fn has_processes(&mut self, node: &Node<T::Dir>) -> bool {
        match self.files.read(&node.dir, "cgroup.procs", &mut [0; 1]) {
            Ok(length) => length > 0,
            // A threaded group does not tell its processes; somebody is in there.
            Err(why) => why == Absent::Unsupported,
        }
    }
}

/// systemd's units that hold processes.
const UNITS: [&[u8]; 5] = [b".service", b".scope", b".socket", b".mount", b".swap"];
