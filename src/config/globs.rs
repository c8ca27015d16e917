//! Globs over names and cgroup paths, compiled once. What they are matched against is hostile: any
//! bytes, any length.

use globset::{Candidate, Glob, GlobBuilder, GlobSet};

use crate::model::{Group, Matcher, Member, Policy, Runtime};

/// Longer than any cgroup path that is worth writing down; bounds the compiled size.
const GLOB_MAX: usize = 512;

/// Groups of the host that hold containers and services: a glob that takes one of them for a
/// container would have the governor hold the host itself.
const HOST_GROUPS: [&str; 9] = [
    "/",
    "/init.scope",
    "/system.slice",
    "/user.slice",
    "/machine.slice",
    "/kubepods.slice",
    "/kubepods",
    "/docker",
    "/system.slice/governor.service",
];

#[derive(Clone, Copy)]
enum Over {
    Names,
    Paths,
}

/// Who is protected: the policy's `[[protect]]` entries, compiled.
///
/// The globs of a policy that [`parse`](super::parse) made always compile. In a policy made
/// otherwise, one that does not compile matches everything: rather protected than held by mistake.
#[derive(Clone, Debug)]
pub struct Protect {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    name: Option<GlobSet>,
    path: Option<GlobSet>,
    runtime: Option<Runtime>,
}

/// Which further cgroups are containers: the policy's `[containers]` globs, compiled.
///
/// One that does not compile (in a policy that [`parse`](super::parse) did not make) matches nothing.
#[derive(Clone, Debug)]
pub struct ContainerGlobs {
    paths: GlobSet,
}

impl Protect {
    /// Compiles the policy's `[[protect]]` entries.
    #[must_use]
    pub fn new(policy: &Policy) -> Protect {
        Protect {
            entries: policy.protect.iter().map(Entry::new).collect(),
        }
    }

    /// Whether an entry matches in all its fields. `path` is from the cgroup root and starts with
    /// `/`; `runtime` is `None` for what is no container.
    #[must_use]
    pub fn protects(&self, name: &str, path: &[u8], runtime: Option<Runtime>) -> bool {
        let name = Candidate::from_bytes(name);
        let path = Candidate::from_bytes(path);
        self.entries
            .iter()
            .any(|entry| entry.matches(&name, &path, runtime))
    }

    /// Whether this group of the tree is protected.
    #[must_use]
    pub fn covers(&self, group: &Group) -> bool {
        let runtime = match group.member {
            Member::Container { runtime, .. } => Some(runtime),
            Member::Inner | Member::Helper { .. } | Member::Service => None,
        };
        self.protects(&group.name(), &group.path, runtime)
    }
}

impl Entry {
    fn new(matcher: &Matcher) -> Entry {
        let set = |text: &String, over| build(text, over).unwrap_or_else(|_| everything());
        Entry {
            name: matcher.name.as_ref().map(|text| set(text, Over::Names)),
            path: matcher.path.as_ref().map(|text| set(text, Over::Paths)),
            runtime: matcher.runtime,
        }
    }

    fn matches(
        &self,
        name: &Candidate<'_>,
        path: &Candidate<'_>,
        runtime: Option<Runtime>,
    ) -> bool {
        let glob = |set: &Option<GlobSet>, text| {
            set.as_ref().is_none_or(|set| set.is_match_candidate(text))
        };
        glob(&self.name, name)
            && glob(&self.path, path)
            && self.runtime.is_none_or(|wanted| Some(wanted) == runtime)
    }
}

impl ContainerGlobs {
    /// Compiles the policy's `[containers]` globs.
    #[must_use]
    pub fn new(policy: &Policy) -> ContainerGlobs {
        let sound = policy
            .containers
            .iter()
            .filter_map(|text| glob(text, Over::Paths).ok());
        ContainerGlobs {
            paths: GlobSet::new(sound).unwrap_or_default(),
        }
    }

    /// Whether this path from the cgroup root (it starts with `/`) is a container's top group.
    #[must_use]
    pub fn is_container(&self, path: &[u8]) -> bool {
        self.paths.is_match_candidate(&Candidate::from_bytes(path))
    }
}

/// A sound glob over names, or what is wrong with it.
pub(super) fn name_glob(text: &str) -> Result<String, String> {
    build(text, Over::Names)?;
    Ok(text.to_owned())
}

/// A sound glob over cgroup paths, or what is wrong with it.
pub(super) fn path_glob(text: &str) -> Result<String, String> {
    build(text, Over::Paths)?;
    if text.starts_with(['/', '*', '?', '[', '{']) {
        Ok(text.to_owned())
    } else {
        Err("can match no path: they start with /".to_owned())
    }
}

/// The group of the host that this glob over paths would take for a container, if any.
pub(super) fn host_group(text: &str) -> Option<&'static str> {
    let set = build(text, Over::Paths).ok()?;
    HOST_GROUPS.into_iter().find(|group| set.is_match(group))
}

/// Alone in a set, because compiling a set reports what cannot be compiled.
fn build(text: &str, over: Over) -> Result<GlobSet, String> {
    GlobSet::new([glob(text, over)?]).map_err(|error| error.kind().to_string())
}

fn glob(text: &str, over: Over) -> Result<Glob, String> {
    if text.is_empty() {
        return Err("an empty glob matches nothing".to_owned());
    }
    if text.len() > GLOB_MAX {
        return Err(format!("longer than {GLOB_MAX} bytes"));
    }
    GlobBuilder::new(text)
        // `*` stays within one component of a path; in a name, a slash is a character.
        .literal_separator(matches!(over, Over::Paths))
        .build()
        .map_err(|error| error.kind().to_string())
}

fn everything() -> GlobSet {
    Glob::new("**")
        .and_then(|all| GlobSet::new([all]))
        .unwrap_or_default()
}
