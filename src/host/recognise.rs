//! Which cgroups are containers, told from their paths alone.
//!
//! Runtimes put the container's id into the cgroup's name; no socket of theirs is asked. The walk
//! goes from the top and stops at the first match, so that a container is its *top* group, and all
//! that stands below (podman's `container`, a nested docker) belongs to it.
//!
//! | made by | path |
//! |---|---|
//! | docker | `…/docker-ID.scope`, `/docker/ID` |
//! | podman | `…/libpod-ID.scope`, `…/libpod-ID`, `…/libpod-payload-ID` (`--cgroups=split`) |
//! | containerd | `…/ctr-ID.scope`, `…/nerdctl-ID.scope`, `/default/ID`, any 64 hex digits |
//! | CRI-O | `…/crio-ID.scope`, `…/crio-ID` |
//! | Kubernetes | `…pod<uid>.slice/cri-containerd-ID.scope`, `kubepods/…/pod<uid>/ID` |
//! | systemd machines | `…/machine-NAME.scope`, `…/systemd-nspawn@NAME.service` |
//! | LXC | `…/lxc.payload.NAME`, `/lxc.payload/NAME`, `/lxc/NAME` |
//!
//! Whoever may make cgroups may choose such a name: recognition says what a group *claims* to be.

use crate::model::{Member, Runtime};

/// The most characters of a name that are kept: a hostile one does not fill the screen or the log.
pub const NAME_MAX: usize = 128;

/// So many hex digits of an id are shown, as the runtimes' own tools do.
const SHORT_ID: usize = 12;

/// The container or container's helper that the last component of `path` is, if any.
///
/// `own_globs` tells whether the policy calls the path a container; it is asked only about paths
/// that no runtime's pattern matches.
pub fn recognise(path: &[u8], own_globs: &dyn Fn(&[u8]) -> bool) -> Option<Member> {
    let mut components = path.split(|&byte| byte == b'/').filter(|c| !c.is_empty());
    let last = components.next_back()?;
    let above = Above {
        parent: components.next_back(),
        pod: pod_of(path),
        depth: components.count(),
    };
    known(last, &above).or_else(|| own_globs(path).then(|| container(Runtime::Policy, last, None)))
}

/// What stands above the component in question.
struct Above<'a> {
    /// The component before it.
    parent: Option<&'a [u8]>,
    /// The pod that the path leads through.
    pod: Option<String>,
    /// How many components stand above the parent.
    depth: usize,
}

fn known(last: &[u8], above: &Above<'_>) -> Option<Member> {
    helper(last)
        .or_else(|| unit(last, above))
        .or_else(|| machine(last))
        .or_else(|| bare(last, above))
}

/// Processes beside a container that serve it alone: conmon, LXC's monitor.
fn helper(last: &[u8]) -> Option<Member> {
    let name = last.strip_suffix(b".scope").unwrap_or(last);
    let of = [&b"libpod-conmon-"[..], b"crio-conmon-", b"lxc.monitor."]
        .into_iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .filter(|of| !of.is_empty())?;
    Some(Member::Helper { of: shown(of) })
}

/// `PREFIX-ID.scope` by systemd, `PREFIX-ID` without it.
fn unit(last: &[u8], above: &Above<'_>) -> Option<Member> {
    let scope = last.strip_suffix(b".scope");
    let name = scope.unwrap_or(last);
    let by_id = [
        (&b"docker-"[..], Runtime::Docker),
        (b"libpod-payload-", Runtime::Podman),
        (b"libpod-", Runtime::Podman),
        (b"cri-containerd-", Runtime::Containerd),
        (b"nerdctl-", Runtime::Containerd),
        (b"crio-", Runtime::Crio),
    ];
    for (prefix, runtime) in by_id {
        if let Some(id) = name.strip_prefix(prefix).filter(|id| is_id(id)) {
            return Some(container(runtime, id, above.pod.clone()));
        }
    }
    // containerd's own client lets the user choose the id.
    let id = scope?.strip_prefix(b"ctr-").filter(|id| !id.is_empty())?;
    Some(container(Runtime::Containerd, id, above.pod.clone()))
}

/// Machines of systemd and LXC, which have names and no ids.
fn machine(last: &[u8]) -> Option<Member> {
    let machine = last
        .strip_prefix(b"machine-")
        .and_then(|name| name.strip_suffix(b".scope"));
    let nspawn = last
        .strip_prefix(b"systemd-nspawn@")
        .and_then(|name| name.strip_suffix(b".service"));
    if let Some(name) = machine.or(nspawn).filter(|name| !name.is_empty()) {
        return Some(container(Runtime::Nspawn, &unescape(name), None));
    }
    let name = last
        .strip_prefix(b"lxc.payload.")
        .filter(|n| !n.is_empty())?;
    Some(container(Runtime::Lxc, name, None))
}

/// Names without a mark of their own: what stands above tells.
fn bare(last: &[u8], above: &Above<'_>) -> Option<Member> {
    let parent = above.parent?;
    let top = above.depth == 0;
    match parent {
        b"docker" if is_id(last) => Some(container(Runtime::Docker, last, None)),
        b"lxc" | b"lxc.payload" if top => Some(container(Runtime::Lxc, last, None)),
        b"lxc.monitor" if top => Some(Member::Helper { of: shown(last) }),
        b"default" if top => Some(container(Runtime::Containerd, last, None)),
        _ if above.pod.is_some() && is_pod(parent) && is_id(last) => {
            Some(container(Runtime::Kubernetes, last, above.pod.clone()))
        }
        _ if last.len() == 64 && is_id(last) => Some(container(Runtime::Containerd, last, None)),
        _ => None,
    }
}

fn container(runtime: Runtime, key: &[u8], pod: Option<String>) -> Member {
    // CRI-O keeps its name: its scopes are its own, under a pod or not.
    let runtime = match runtime {
        Runtime::Docker | Runtime::Containerd if pod.is_some() => Runtime::Kubernetes,
        other => other,
    };
    let name = if is_id(key) && key.len() > SHORT_ID {
        shown(key.get(..SHORT_ID).unwrap_or(key))
    } else {
        shown(key)
    };
    Member::Container {
        runtime,
        key: shown(key),
        name,
        pod,
    }
}

/// At least twelve hex digits: docker, podman and the CRIs use sixty-four.
fn is_id(text: &[u8]) -> bool {
    text.len() >= SHORT_ID && text.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The uid of the pod that a path leads through:
/// `kubepods-burstable-pod<uid with _>.slice`, or `pod<uid>` below `kubepods`.
fn pod_of(path: &[u8]) -> Option<String> {
    let mut below_kubepods = false;
    for component in path.split(|&byte| byte == b'/') {
        if let Some(uid) = pod_uid(component).filter(|_| below_kubepods) {
            let uid: Vec<u8> = uid
                .iter()
                .map(|&byte| if byte == b'_' { b'-' } else { byte })
                .collect();
            return Some(shown(&uid));
        }
        below_kubepods |= component
            .strip_suffix(b".slice")
            .unwrap_or(component)
            .rsplit(|&byte| byte == b'-')
            .any(|part| part == b"kubepods");
    }
    None
}

fn is_pod(component: &[u8]) -> bool {
    pod_uid(component).is_some()
}

fn pod_uid(component: &[u8]) -> Option<&[u8]> {
    let uid = match component.strip_suffix(b".slice") {
        Some(slice) => slice.rsplit(|&byte| byte == b'-').next()?,
        None => component,
    };
    uid.strip_prefix(b"pod")
        .filter(|uid| uid.first().is_some_and(u8::is_ascii_hexdigit))
}

/// systemd writes `\x2d` for a dash that is not a separator.
fn unescape(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&first, after)) = rest.split_first() {
        let code = after
            .strip_prefix(b"x")
            .filter(|_| first == b'\\')
            .and_then(|hex| hex.get(..2))
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        if let Some(code) = code {
            out.push(code);
            rest = after.get(3..).unwrap_or_default();
        } else {
            out.push(first);
            rest = after;
        }
    }
    out
}

/// Hostile bytes as harmless text: control characters and what is no UTF-8 are escaped, and it is
/// at most [`NAME_MAX`] characters long.
#[must_use]
pub fn shown(bytes: &[u8]) -> String {
    let pieces = bytes.utf8_chunks().flat_map(|chunk| {
        let valid = chunk.valid().chars().map(|character| {
            if is_plain(character) {
                character.to_string()
            } else {
                character.escape_default().to_string()
            }
        });
        let invalid = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}"));
        valid.chain(invalid)
    });
    let mut out = String::new();
    let mut left = NAME_MAX;
    for piece in pieces {
        // All of an escape or nothing of it, and room for the mark that something is missing.
        let length = piece.chars().count();
        if length >= left {
            out.push('…');
            break;
        }
        left -= length;
        out.push_str(&piece);
    }
    out
}

/// Whether a character is printed as it is: no control, no line end, nothing that turns the
/// direction of writing around.
fn is_plain(character: char) -> bool {
    !character.is_control()
        && !matches!(
            character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const UID: &str = "8dbc5577-d0e2-4706-8787-57d52c03ddf2";

    fn told(path: &str) -> Option<Member> {
        let path = path
            .replace("U_I_D", &UID.replace('-', "_"))
            .replace("UID", UID)
            .replace("ID", ID);
        recognise(path.as_bytes(), &|_| false)
    }

    fn assert_container(path: &str, runtime: Runtime, key: &str, pod: Option<&str>) {
        match told(path) {
            Some(Member::Container {
                runtime: r,
                key: k,
                pod: p,
                name,
            }) => {
                assert_eq!((r, k.as_str(), p.as_deref()), (runtime, key, pod), "{path}");
                let short = if key == ID { &ID[..12] } else { key };
                assert_eq!(name, short, "{path}");
            }
            other => panic!("{path}: {other:?}"),
        }
    }

    /// Paths seen with the runtimes of the lab.
    #[test]
    fn containers_that_the_lab_made_are_recognised() {
        use Runtime::{Containerd, Docker, Kubernetes, Podman};
        for path in [
            "/system.slice/docker-ID.scope",
            "/tenant.slice/docker-ID.scope",
            "/docker/ID",
        ] {
            assert_container(path, Docker, ID, None);
        }
        for path in ["/machine.slice/libpod-ID.scope", "/libpod_parent/libpod-ID"] {
            assert_container(path, Podman, ID, None);
        }
        assert_container("/default/ID", Containerd, ID, None);
        assert_container("/default/my-redis", Containerd, "my-redis", None);
        assert_container("/system.slice/ctr-web.scope", Containerd, "web", None);
        assert_container(
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_I_D.slice/cri-containerd-ID.scope",
            Kubernetes,
            ID,
            Some(UID),
        );
    }

    /// Paths from the runtimes' documentation and source; no runtime of the lab makes them.
    #[test]
    fn containers_of_runtimes_that_the_lab_does_not_have_are_recognised_by_documented_paths() {
        use Runtime::{Containerd, Crio, Kubernetes, Lxc, Nspawn, Podman};
        let hash = "0a1b2c3d4e5f60718293a4b5c6d7e8f9";
        for (path, runtime, key, pod) in [
            ("/system.slice/nerdctl-ID.scope", Containerd, ID, None),
            ("/custom/ID", Containerd, ID, None),
            (
                "/system.slice/web.service/libpod-payload-ID",
                Podman,
                ID,
                None,
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope",
                Podman,
                ID,
                None,
            ),
            (
                "/machine.slice/machine-libpod_pod_abc.slice/libpod-ID.scope",
                Podman,
                ID,
                None,
            ),
            ("/system.slice/crio-ID.scope", Crio, ID, None),
            (
                "/kubepods.slice/kubepods-podU_I_D.slice/crio-ID.scope",
                Crio,
                ID,
                Some(UID),
            ),
            (
                "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podU_I_D.slice/docker-ID.scope",
                Kubernetes,
                ID,
                Some(UID),
            ),
            ("/kubepods/burstable/podUID/ID", Kubernetes, ID, Some(UID)),
            ("/kubepods/podUID/ID", Kubernetes, ID, Some(UID)),
            ("/kubepods/besteffort/podUID/crio-ID", Crio, ID, Some(UID)),
            (
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podU_I_D.slice/cri-containerd-ID.scope",
                Kubernetes,
                ID,
                Some(UID),
            ),
            (
                // A static pod's uid is a hash.
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0a1b2c3d4e5f60718293a4b5c6d7e8f9.slice/cri-containerd-ID.scope",
                Kubernetes,
                ID,
                Some(hash),
            ),
            ("/machine.slice/machine-web.scope", Nspawn, "web", None),
            (
                "/machine.slice/machine-my\\x2dweb.scope",
                Nspawn,
                "my-web",
                None,
            ),
            (
                "/machine.slice/systemd-nspawn@web.service",
                Nspawn,
                "web",
                None,
            ),
            ("/lxc.payload.web", Lxc, "web", None),
            ("/lxc.payload/web", Lxc, "web", None),
            ("/lxc/101", Lxc, "101", None),
        ] {
            assert_container(path, runtime, key, pod);
        }
    }

    #[test]
    fn helpers_of_containers_are_known_as_theirs() {
        for (path, of) in [
            ("/machine.slice/libpod-conmon-ID.scope", ID),
            ("/system.slice/crio-conmon-ID.scope", ID),
            ("/lxc.monitor.web", "web"),
            ("/lxc.monitor/web", "web"),
        ] {
            assert_eq!(
                told(path),
                Some(Member::Helper { of: of.to_owned() }),
                "{path}"
            );
        }
    }

    #[test]
    fn slices_services_and_what_only_looks_alike_are_no_containers() {
        for path in [
            "",
            "/",
            "/system.slice",
            "/system.slice/docker.service",
            "/system.slice/docker-proxy.scope",
            "/system.slice/containerd.service",
            "/docker",
            "/docker/buildkit",
            "/default",
            "/a/default/x",
            "/kubepods.slice",
            "/kubepods.slice/kubepods-burstable.slice",
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podU_I_D.slice",
            "/kubepods/burstable/podUID",
            "/user.slice/user-1000.slice/session-1.scope",
            "/machine.slice",
            "/machine.slice/machine-.scope",
            "/lxc.payload.",
            "/podman/podUID",
            "/x/0123456789abcdef",
        ] {
            assert_eq!(told(path), None, "{path}");
        }
    }

    #[test]
    fn the_policys_globs_make_containers_of_what_no_runtime_claims() {
        let globs = |path: &[u8]| path.starts_with(b"/tenants/");
        let Some(Member::Container { runtime, key, .. }) = recognise(b"/tenants/a", &globs) else {
            panic!("not recognised");
        };
        assert_eq!((runtime, key.as_str()), (Runtime::Policy, "a"));
        let scope = format!("/tenants/docker-{ID}.scope");
        let Some(Member::Container { runtime, .. }) = recognise(scope.as_bytes(), &globs) else {
            panic!("not recognised");
        };
        assert_eq!(runtime, Runtime::Docker);
    }

    #[test]
    fn a_hostile_name_is_escaped_and_bounded() {
        assert_eq!(shown(b"web-1"), "web-1");
        assert_eq!(shown("größe".as_bytes()), "größe");
        assert_eq!(shown(b"a\nb\x1b[2J"), "a\\nb\\u{1b}[2J");
        assert_eq!(shown(b"\xff\xfea"), "\\xff\\xfea");
        assert_eq!(shown("a\u{202e}b".as_bytes()), "a\\u{202e}b");
        for long in [vec![b'a'; 4096], vec![b'\n'; 4096], vec![0xff; 4096]] {
            let name = shown(&long);
            assert!(name.chars().count() <= NAME_MAX);
            assert!(name.ends_with('…'));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_recognition_fail(path in proptest::collection::vec(0u8.., 0..300)) {
            if let Some(Member::Container { key, name, .. }) = recognise(&path, &|_| true) {
                proptest::prop_assert!(key.chars().count() <= NAME_MAX);
                proptest::prop_assert!(!name.chars().any(char::is_control));
            }
        }
    }
}
