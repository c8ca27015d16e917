//! A file system without room.

use super::*;
use crate::agent::record::ring::Ring;
use std::path::Path;

/// Where the test, started once more by itself, finds a small file system of its own.
const SMALL: &str = "GOVERNOR_TEST_SMALL";

#[test]
fn on_a_full_file_system_the_newest_is_kept_and_nothing_leaks() {
    if let Some(small) = std::env::var_os(SMALL) {
        return in_a_small_file_system(Path::new(&small));
    }
    let dir = tempfile::tempdir().unwrap();
    let namespace = |flags: &str| {
        let mut command = std::process::Command::new("unshare");
        command.arg(flags);
        command
    };
    let may = |flags: &&str| {
        let done = namespace(flags).arg("true").output();
        done.is_ok_and(|output| output.status.success())
    };
    let flags = ["-m", "-Urm"].into_iter().find(may);
    let flags = flags.expect("to mount a small tmpfs takes root or user namespaces");
    let own =
        "agent::record::tests::full::on_a_full_file_system_the_newest_is_kept_and_nothing_leaks";
    let done = namespace(flags)
        .args(["sh", "-c"])
        .arg("mount -t tmpfs -o size=512k none \"$1\" && exec \"$0\" --exact \"$2\"")
        .arg(std::env::current_exe().unwrap())
        .arg(dir.path())
        .arg(own)
        .env(SMALL, dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success() && said.contains("1 passed"),
        "{done:?}"
    );
}

fn in_a_small_file_system(small: &Path) {
    let folder = small.join("trace");
    let open = |now| Ring::open(&folder, Span::from_secs(600), Bytes::from_mib(16), now).unwrap();
    let mut ring = open(Time(0));
    let mut now = Time(0);
    let sizes = || -> Vec<u64> {
        let files = Folder::make(&folder).unwrap().files("").unwrap();
        files.into_iter().map(|(_, size)| size).collect()
    };
    for number in 0..100_u8 {
        now = now + Span::from_secs(1);
        if number % 4 == 0 {
            now = now + Span::from_secs(117);
            ring.turn(now).unwrap();
        }
        assert!(ring.append(&vec![number; 25_000], now).unwrap(), "{number}");
    }
    assert!(sizes().iter().sum::<u64>() > 300_000, "{:?}", sizes());
    let last = Folder::make(&folder)
        .unwrap()
        .files("")
        .unwrap()
        .pop()
        .unwrap();
    let newest = crate::host::read_whole(&folder.join(last.0), 1 << 20).unwrap();
    assert_eq!(newest.len(), 100_000, "no hole and no half block");
    assert!((96..100).all(|number| newest[(usize::from(number) - 96) * 25_000] == number));

    // All that there is belongs to others.
    while !sizes().is_empty() {
        let name = Folder::make(&folder)
            .unwrap()
            .files("")
            .unwrap()
            .remove(0)
            .0;
        Folder::make(&folder).unwrap().remove(&name).unwrap();
    }
    let mut foreign = Folder::make(small).unwrap().create("foreign").unwrap();
    while std::io::Write::write(&mut foreign, &[7; 512]).is_ok() {}
    let mut rig = Rig::new();
    let keeper = Keeper::start(Arc::clone(&rig.recording), small).unwrap();
    let mut recorder = rig.recorder_of(keeper);
    for _ in 0..30 {
        rig.run(&mut recorder, 20, Span(50_000), None);
        rig.settle_within(10);
        if rig.now > Time(3_000_000) {
            let tells = |note: String| note.contains("No space left");
            let is_told = || rig.recording.note().is_some_and(tells);
            // On a busy machine the keeper's turn comes late.
            for _ in 0..500 {
                if !is_told() {
                    rig.settle_within(10);
                }
            }
            assert!(is_told(), "{:?}", rig.now);
        }
    }
    assert_eq!(sizes(), [0; 0], "an attempt leaves nothing");
    foreign.set_len(0).unwrap();
    for _ in 0..15 {
        rig.run(&mut recorder, 20, Span(50_000), None);
        rig.settle_within(10);
    }
    recorder.stop(rig.now);
    assert_eq!(rig.recording.note(), None);
    assert!(!sizes().is_empty() && sizes().iter().all(|size| *size > 0));
}
