//! Knobs of known groups, by identity.

use super::super::files::{Listing, Opened, TreeFiles, open_path, read_text};
use super::super::{KnobFiles, PathHint};
use super::Forest;
use crate::kernel::{knob, nested, single};
use crate::model::{Absent, GroupId, IoMax, Knob, Knobs, Original, PerDevice, Reading};

/// Room for the lines of some tens of devices in `io.max`; all other knobs are one short line.
const FILE_ROOM: usize = 4096;

impl<T: TreeFiles> KnobFiles for Forest<T> {
    type Handle = T::Handle;

    fn read_knob(&mut self, group: GroupId, knob: Knob) -> Reading<Original> {
        let (files, dir) = self.held(group)?;
        let text = knob_text(files, dir, knob)?;
        if let Some(node) = self.nodes.get_mut(&group) {
            self.reread |= node.knobs.learn(knob, text);
        }
        Ok(text)
    }

    fn write_knob(&mut self, group: GroupId, knob: Knob, text: &[u8]) -> Reading<()> {
        let (files, dir) = self.held(group)?;
        files.write(dir, knob.file(), text)
    }

    fn kill(&mut self, group: GroupId) -> Reading<()> {
        let (files, dir) = self.held(group)?;
        files.write(dir, "cgroup.kill", b"1")
    }

    fn path(&self, group: GroupId) -> Option<&[u8]> {
        let path = match self.nodes.get(&group) {
            Some(node) => &node.path,
            None => &self.adopted.get(&group)?.1,
        };
        Some(if path.is_empty() { b"/" } else { path })
    }

    fn detach(&mut self, group: GroupId, knob: Knob) -> Reading<T::Handle> {
        let (files, dir) = self.held(group)?;
        files.detach(dir, knob.file())
    }

    fn adopt(&mut self, group: GroupId, hint: PathHint<'_>) -> Reading<()> {
        if self.nodes.contains_key(&group) || self.adopted.contains_key(&group) {
            return Ok(());
        }
        let (dir, path) = match hint {
            PathHint::Whole(path) => {
                let opened = open_path(&mut self.files, path)?;
                if opened.id != group {
                    return Err(Absent::Gone);
                }
                (opened.dir, path.to_vec())
            }
            PathHint::Beginning(path) => {
                let end = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                let start = path.get(..end).unwrap_or_default();
                let opened = open_path(&mut self.files, start)?;
                let most = self.limits.groups;
                search(&mut self.files, opened, start, group, most)?
            }
        };
        self.adopted.insert(group, (dir, path));
        // What we hold is looked at, whoever is in it.
        self.vacants.enter(group);
        Ok(())
    }
}

/// Looks for an identity below a directory, through at most `most` groups.
fn search<T: TreeFiles>(
    files: &mut T,
    start: Opened<T::Dir>,
    path: &[u8],
    wanted: GroupId,
    most: usize,
) -> Reading<(T::Dir, Vec<u8>)> {
    let mut left = most;
    let mut listing = Listing::default();
    let mut to_list = vec![(start.dir, path.to_vec())];
    while let Some((dir, path)) = to_list.pop() {
        listing.restart(most);
        if files.children(&dir, &mut listing).is_err() {
            continue;
        }
        for (name, _) in listing.iter() {
            left = left.checked_sub(1).ok_or(Absent::Gone)?;
            if let Ok(child) = files.open(&dir, name) {
                let path = [&path, &b"/"[..], name].concat();
                if child.id == wanted {
                    return Ok((child.dir, path));
                }
                to_list.push((child.dir, path));
            }
        }
    }
    Err(Absent::Gone)
}

/// A group's knobs, as they stood when they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing(Knobs);

impl Standing {
    /// Reads all of them, each failing alone.
    pub(super) fn read<T: TreeFiles>(files: &mut T, dir: &T::Dir) -> Standing {
        let mut knobs = Knobs::absent(Absent::NotRead);
        let mut room = [0; FILE_ROOM];
        for knob in Knob::FILES {
            let text = read_text(files, dir, knob.file(), &mut room);
            knobs.set(knob, text.and_then(|text| knob::decode(knob, text)));
        }
        knobs.memory_max =
            read_text(files, dir, "memory.max", &mut room).and_then(single::bytes_limit);
        knobs.io_max = read_text(files, dir, "io.max", &mut room).and_then(all_io_max);
        Standing(knobs)
    }

    /// Takes what was read of one knob; whether it is not what is known.
    pub(super) fn learn(&mut self, knob: Knob, text: Original) -> bool {
        let before = self.0;
        self.0.set(knob, knob::decode(knob, text.as_bytes()));
        self.0 != before
    }

    /// What they mean, where `original` stands for the text of a knob that it knows better.
    pub(super) fn knobs(&self, original: &dyn Fn(Knob) -> Option<Original>) -> Knobs {
        let mut knobs = self.0;
        let on_devices = self.0.io_max.ok();
        let on_devices = on_devices.iter().flat_map(PerDevice::iter);
        let on_devices = on_devices.map(|(device, _)| Knob::IoMax(device));
        for knob in Knob::FILES.into_iter().chain(on_devices) {
            if let Some(original) = original(knob) {
                knobs.set(knob, knob::decode(knob, original.as_bytes()));
            }
        }
        knobs
    }
}

/// The devices of `io.max`, as many as are kept.
fn all_io_max(text: &[u8]) -> Reading<PerDevice<IoMax>> {
    let mut all = PerDevice::NONE;
    for line in nested::io_max(text)? {
        let (device, max) = line?;
        all.put(device, max, |_| 0);
    }
    Ok(all)
}

/// The exact text of one knob, without its newline. A device that `io.max` does not name has no limit there,
/// which is told as the kernel would take it.
fn knob_text<T: TreeFiles>(files: &mut T, dir: &T::Dir, knob: Knob) -> Reading<Original> {
    let mut room = [0; FILE_ROOM];
    let text = read_text(files, dir, knob.file(), &mut room)?;
    let Knob::IoMax(device) = knob else {
        return Original::new(text).ok_or(Absent::Malformed);
    };
    let max = nested::io_max_of(text, device)?;
    let mut line = [0; nested::IO_MAX_TEXT];
    Original::new(nested::write_io_max(device, max, &mut line)).ok_or(Absent::Malformed)
}
