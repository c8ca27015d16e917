//! `/proc/PID/mountinfo`.

use crate::Target;
use governor::kernel::mountinfo;

pub(crate) const TARGET: Target = Target {
    name: "mountinfo",
    check,
    seeds: &["proc_self_mountinfo", "tests/fuzz/kept/mountinfo/hybrid"],
};

fn check(bytes: &[u8]) {
    let mounts = mountinfo::cgroup_mounts(bytes);
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    assert!(mounts.len() <= lines);
    let paths: usize = mounts
        .iter()
        .map(|mount| mount.root.len() + mount.point.len())
        .sum();
    assert!(paths <= bytes.len());
    // Unescaped paths come back through the form in which the kernel would show them.
    for mount in mounts {
        let point = escape(&mount.point);
        let root = escape(&mount.root);
        if point.is_empty() || root.is_empty() {
            continue;
        }
        let line = [
            b"1 1 0:1 ",
            &root[..],
            b" ",
            &point[..],
            b" rw - cgroup2 x rw\n",
        ]
        .concat();
        let again = mountinfo::cgroup_mounts(&line);
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].root, mount.root);
        assert_eq!(again[0].point, mount.point);
    }
}

fn escape(path: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for byte in path {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => text.extend(format!("\\{byte:03o}").bytes()),
            other => text.push(*other),
        }
    }
    text
}
