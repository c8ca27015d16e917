//! Who is protected and what is a container.

use crate::config::{ContainerGlobs, Protect, parse};
use crate::model::{Matcher, Policy, Runtime};

#[test]
fn entries_add_to_the_built_in_protection_and_match_in_all_their_fields() {
    let policy =
        parse("[[protect]]\nname = 'db*'\nruntime = 'podman'\n[[protect]]\npath = '/a/*/c'")
            .unwrap();
    let protect = Protect::new(&policy);
    assert!(protect.protects("x", b"/system.slice/sshd.service", None));
    assert!(protect.protects("db/1", b"/x", Some(Runtime::Podman)));
    assert!(!protect.protects("db/1", b"/x", Some(Runtime::Docker)));
    assert!(!protect.protects("db/1", b"/x", None));
    assert!(!protect.protects("xdb", b"/x", Some(Runtime::Podman)));
    assert!(protect.protects("", b"/a/b/c", None));
    assert!(
        !protect.protects("", b"/a/b/b/c", None),
        "a star stays in its component"
    );
}

#[test]
fn hostile_names_and_paths_are_matched_as_the_bytes_they_are() {
    let policy =
        parse("containers.paths = ['/jobs/*', '/deep/**/x']\n[[protect]]\npath = '/p/*'").unwrap();
    let globs = ContainerGlobs::new(&policy);
    assert!(globs.is_container(b"/jobs/\xff\n\x01"));
    assert!(!globs.is_container(b"/jobs/\xff/\n"));
    let mut long = b"/deep/".to_vec();
    long.extend(b"\xfe/".repeat(2_040));
    assert!(!globs.is_container(&long));
    long.push(b'x');
    assert!(globs.is_container(&long));
    assert!(!globs.is_container(b""));
    assert!(Protect::new(&policy).protects("\n", b"/p/\n\xc3\x28", None));
}

#[test]
fn globs_that_do_not_compile_protect_everything_and_find_no_container() {
    let policy = Policy {
        protect: vec![Matcher {
            name: Some("[".to_owned()),
            ..Matcher::default()
        }],
        containers: vec!["[".to_owned(), "/jobs/*".to_owned()],
        ..Policy::default()
    };
    assert!(Protect::new(&policy).protects("any", b"/any", None));
    assert!(ContainerGlobs::new(&policy).is_container(b"/jobs/1"));
    assert!(!ContainerGlobs::new(&policy).is_container(b"/["));
}
