//! Knobs of known groups, by identity.

use super::super::files::{Listing, Opened, TreeFiles, open_path, read_text};
use super::super::{KnobFiles, PathHint};
use super::Forest;
use crate::kernel::{cpu_max, single};
use crate::model::{
    Absent, Bytes, GroupId, Knob, Knobs, Limit, ORIGINAL_MAX, Original, Reading, Span,
};

/// Room for a knob's text, its newline, and one byte to tell that nothing was cut.
const KNOB_ROOM: usize = ORIGINAL_MAX + 2;

impl<T: TreeFiles> KnobFiles for Forest<T> {
    type Handle = T::Handle;

    fn read_knob(&mut self, group: GroupId, knob: Knob) -> Reading<Original> {
        let (files, dir) = self.held(group)?;
        let mut room = [0; KNOB_ROOM];
        let text = read_text(files, dir, knob.file(), &mut room)?;
        let text = Original::new(text).ok_or(Absent::Malformed)?;
        if let Some(node) = self.nodes.get_mut(&group) {
            self.reread |= node.knobs.learn(knob, text);
        }
        Ok(text)
    }

    fn write_knob(&mut self, group: GroupId, knob: Knob, text: &[u8]) -> Reading<()> {
        let (files, dir) = self.held(group)?;
        files.write(dir, knob.file(), text)
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

/// The texts of a group's knobs, as they stood when they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Texts {
    knobs: [Reading<Original>; Knob::ALL.len()],
    memory_max: Reading<Limit<Bytes>>,
}

impl Texts {
    /// Reads all of them, each failing alone.
    pub(super) fn read<T: TreeFiles>(files: &mut T, dir: &T::Dir) -> Texts {
        let mut room = [0; KNOB_ROOM];
        let mut text = |file| {
            let text = read_text(files, dir, file, &mut room)?;
            Original::new(text).ok_or(Absent::Malformed)
        };
        Texts {
            knobs: Knob::ALL.map(|knob| text(knob.file())),
            memory_max: text("memory.max").and_then(|text| single::bytes_limit(text.as_bytes())),
        }
    }

    /// Takes what was read of one knob; whether it is not what is known.
    pub(super) fn learn(&mut self, knob: Knob, text: Original) -> bool {
        let mut texts = Knob::ALL.into_iter().zip(&mut self.knobs);
        texts
            .find(|(of, _)| *of == knob)
            .is_some_and(|(_, known)| std::mem::replace(known, Ok(text)) != Ok(text))
    }

    /// What they mean, where `original` stands for the text of a knob that it knows better.
    pub(super) fn knobs(&self, original: &dyn Fn(Knob) -> Option<Original>) -> Knobs {
        let text = |knob: Knob| {
            original(knob).map_or_else(
                || {
                    let mut texts = Knob::ALL.into_iter().zip(&self.knobs);
                    texts
                        .find(|(of, _)| *of == knob)
                        .map_or(Err(Absent::NotRead), |(_, text)| *text)
                },
                Ok,
            )
        };
        fn read<V>(text: Reading<Original>, parse: fn(&[u8]) -> Reading<V>) -> Reading<V> {
            text.and_then(|text| parse(text.as_bytes()))
        }
        Knobs {
            cpu_weight: read(text(Knob::CpuWeight), single::weight),
            cpu_idle: read(text(Knob::CpuIdle), single::truth),
            cpu_max: read(text(Knob::CpuMax), cpu_max::parse),
            cpu_max_burst: read(text(Knob::CpuMaxBurst), single::count).map(Span),
            memory_high: read(text(Knob::MemoryHigh), single::bytes_limit),
            memory_max: self.memory_max,
            memory_swap_max: read(text(Knob::MemorySwapMax), single::bytes_limit),
            pids_max: read(text(Knob::PidsMax), single::limit),
        }
    }
}
