use super::super::fake::{FakeTree, Operation};
use super::super::{KnobFiles, PathHint};
use super::*;
use crate::model::{Bytes, CpuMax, Group, Knob, Limit, Original, Runtime, Span, Topology, Weight};
use proptest::prelude::*;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn docker(n: u32) -> String {
    format!("/system.slice/docker-{n:064x}.scope")
}

fn plain() -> Rules<'static> {
    Rules {
        original: &|_, _| None,
        name: &|_, _| None,
        is_protected: &|_| false,
        own: None,
    }
}

fn forest(tree: &FakeTree) -> Forest<FakeTree> {
    Forest::new(tree.clone(), Limits::default())
}

fn scan(forest: &mut Forest<FakeTree>, extent: Extent) -> Scan {
    forest.scan(extent, &|_| false).unwrap()
}

fn paths(topology: &Topology) -> Vec<String> {
    topology
        .groups
        .iter()
        .map(|group| String::from_utf8(group.path.clone()).unwrap())
        .collect()
}

fn group<'t>(topology: &'t Topology, path: &str) -> &'t Group {
    let found = topology.groups.iter().find(|g| g.path == path.as_bytes());
    found.unwrap_or_else(|| panic!("{path} in {:?}", paths(topology)))
}

#[test]
fn a_container_is_its_top_group_and_what_is_below_is_not_walked() {
    let tree = FakeTree::new();
    let scope = format!("/machine.slice/libpod-{ID}.scope");
    tree.add(format!("{scope}/container/nested"));
    let mut forest = forest(&tree);
    scan(&mut forest, Extent::All);
    let topology = forest.topology(&plain());
    assert_eq!(paths(&topology), ["/", "/machine.slice", &scope]);
    assert!(group(&topology, &scope).is_container());
    assert_eq!(topology.groups[2].parent, Some(1));
    assert!(!tree.is_watched(&scope));
    assert!(tree.is_watched("/machine.slice"));
}

#[test]
fn services_and_slices_are_told_apart() {
    let tree = FakeTree::new();
    for path in [
        "/system.slice/ssh.service",
        "/user.slice/user-1000.slice/user@1000.service/init.scope",
        "/docker",
        "/own-group",
    ] {
        tree.add(path);
    }
    tree.set("/own-group", "cgroup.procs", "17\n");
    let mut forest = forest(&tree);
    scan(&mut forest, Extent::All);
    let topology = forest.topology(&plain());
    for (path, member) in [
        ("/", Member::Inner),
        ("/system.slice", Member::Inner),
        ("/system.slice/ssh.service", Member::Service),
        (
            "/user.slice/user-1000.slice/user@1000.service",
            Member::Inner,
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/init.scope",
            Member::Service,
        ),
        ("/docker", Member::Inner),
        ("/own-group", Member::Service),
    ] {
        assert_eq!(group(&topology, path).member, member, "{path}");
    }
}

#[test]
fn a_new_container_is_found_because_its_slice_was_told_and_nothing_else_is_listed() {
    let tree = FakeTree::new();
    tree.add("/system.slice/ssh.service");
    tree.add("/user.slice");
    let mut forest = forest(&tree);
    assert!(scan(&mut forest, Extent::All).changed);
    assert!(!scan(&mut forest, Extent::Changed).changed);
    tree.add(docker(1));
    // A directory that was not told is not asked.
    tree.fail("/user.slice", None, Operation::List, Absent::Denied);
    let met = scan(&mut forest, Extent::Changed);
    assert!(met.changed);
    assert_eq!(met.failed, None);
    assert!(group(&forest.topology(&plain()), &docker(1)).is_container());
    tree.remove(docker(1));
    assert!(scan(&mut forest, Extent::Changed).changed);
    assert_eq!(forest.topology(&plain()).groups.len(), 4);
}

#[test]
fn a_container_made_again_under_its_path_is_another_one() {
    let tree = FakeTree::new();
    let old = tree.add(docker(1));
    let mut forest = forest(&tree);
    scan(&mut forest, Extent::All);
    let new = tree.remake(docker(1));
    assert_eq!(forest.read_knob(old, Knob::CpuMax), Err(Absent::Gone));
    scan(&mut forest, Extent::Changed);
    assert_eq!(group(&forest.topology(&plain()), &docker(1)).id, new);
    assert_eq!(forest.path(old), None);
    assert!(forest.read_knob(new, Knob::CpuMax).is_ok());
}

#[test]
fn lost_changes_make_the_next_scan_look_everywhere() {
    let tree = FakeTree::new();
    tree.add("/system.slice");
    tree.fail("/system.slice", None, Operation::Watch, Absent::Errno(28));
    let mut forest = forest(&tree);
    assert_eq!(scan(&mut forest, Extent::All).unwatched, 1);
    tree.add(docker(1));
    assert!(!scan(&mut forest, Extent::Changed).changed);
    tree.lose_changes();
    assert!(scan(&mut forest, Extent::Changed).changed);
}

#[test]
fn what_inotify_did_not_tell_is_found_when_its_turn_has_come() {
    let tree = FakeTree::new();
    tree.add("/system.slice");
    tree.add("/user.slice");
    tree.fail("/system.slice", None, Operation::Watch, Absent::Errno(28));
    let mut forest = forest(&tree);
    scan(&mut forest, Extent::All);
    tree.add(docker(1));
    let turns = forest.groups();
    let found = (0..turns).filter(|_| {
        let met = scan(&mut forest, Extent::Next(1));
        assert_eq!(met.unwatched, 1, "told by every scan, whoever's turn it is");
        met.changed
    });
    assert_eq!(found.count(), 1);
    assert!(forest.topology(&plain()).groups.len() > turns);
}

#[test]
fn one_group_that_cannot_be_read_disturbs_no_other() {
    let tree = FakeTree::new();
    tree.add(docker(1));
    tree.add(docker(2));
    tree.fail(docker(1), None, Operation::Read, Absent::Errno(5));
    tree.fail("/", None, Operation::Read, Absent::Denied);
    tree.set(docker(2), "cpu.weight", "37\n");
    let mut forest = forest(&tree);
    scan(&mut forest, Extent::All);
    let topology = forest.topology(&plain());
    let failing = group(&topology, &docker(1)).knobs;
    assert_eq!(failing.cpu_weight, Err(Absent::Errno(5)));
    let well = group(&topology, &docker(2)).knobs;
    assert_eq!(well.cpu_weight, Ok(Weight::new(37).unwrap()));
}

#[test]
fn a_directory_that_cannot_be_listed_keeps_the_children_that_it_had() {
    let tree = FakeTree::new();
    tree.add(docker(1));
    let mut forest = forest(&tree);
    scan(&mut forest, Extent::All);
    tree.fail("/system.slice", None, Operation::List, Absent::Errno(12));
    let met = scan(&mut forest, Extent::All);
    assert_eq!(met.failed, Some(Absent::Errno(12)));
    assert!(met.changed, "it is not complete any more");
    assert!(!scan(&mut forest, Extent::All).changed);
    assert_eq!(forest.topology(&plain()).groups.len(), 3);
}

#[test]
fn knobs_that_we_hold_show_what_stood_there_before_us() {
    let tree = FakeTree::new();
    let id = tree.add(docker(1));
    tree.set(docker(1), "cpu.weight", "1\n");
    tree.set(docker(1), "cpu.max", "50000 100000\n");
    tree.set(docker(1), "memory.max", "1048576\n");
    let mut forest = forest(&tree);
    scan(&mut forest, Extent::All);
    let held = |group, knob| {
        (group == id && knob == Knob::CpuWeight)
            .then(|| Original::new(b"250"))
            .flatten()
    };
    let rules = Rules {
        original: &held,
        ..plain()
    };
    let knobs = group(&forest.topology(&rules), &docker(1)).knobs;
    assert_eq!(knobs.cpu_weight, Ok(Weight::new(250).unwrap()));
    assert_eq!(
        knobs.cpu_max,
        Ok(CpuMax {
            quota: Limit::At(Span(50_000)),
            period: Span(100_000)
        })
    );
    assert_eq!(knobs.memory_max, Ok(Limit::At(Bytes(1 << 20))));
    assert_eq!(knobs.cpu_idle, Ok(false));
    assert_eq!(knobs.memory_high, Ok(Limit::Max));
}

#[test]
fn somebody_elses_new_value_is_seen_by_a_refresh() {
    let tree = FakeTree::new();
    tree.add(docker(1));
    let mut forest = forest(&tree);
    scan(&mut forest, Extent::All);
    tree.set(docker(1), "cpu.weight", "250\n");
    // Three groups, one a call.
    let changed: Vec<bool> = (0..3).map(|_| forest.refresh(1)).collect();
    assert_eq!(changed.iter().filter(|&&changed| changed).count(), 1);
    let knobs = group(&forest.topology(&plain()), &docker(1)).knobs;
    assert_eq!(knobs.cpu_weight, Ok(Weight::new(250).unwrap()));
}

#[test]
fn of_a_protected_service_only_the_topmost_group_is_watched() {
    let tree = FakeTree::new();
    for path in [
        "/system.slice/udev.service",
        "/system.slice/udev.service/udev",
    ] {
        tree.add(path);
        tree.set(path, "cgroup.procs", "9\n");
    }
    tree.add(docker(1));
    let mut forest = forest(&tree);
    scan(&mut forest, Extent::All);
    let rules = Rules {
        is_protected: &|group| group.path.starts_with(b"/system.slice/udev.service"),
        ..plain()
    };
    let topology = forest.topology(&rules);
    let watched: Vec<_> = topology.watched().map(|(_, g)| g.path.clone()).collect();
    assert_eq!(watched.len(), 2);
    assert!(watched.contains(&b"/system.slice/udev.service".to_vec()));
    assert!(watched.contains(&docker(1).into_bytes()));
}

#[test]
fn the_governor_itself_is_never_held_and_as_a_service_no_victim() {
    let tree = FakeTree::new();
    tree.add("/governor");
    tree.add(docker(1));
    tree.add(docker(2));
    let mut forest = forest(&tree);
    scan(&mut forest, Extent::All);
    let rules = Rules {
        own: Some(b"/governor"),
        is_protected: &|group| group.path == b"/governor",
        ..plain()
    };
    let topology = forest.topology(&rules);
    let own = group(&topology, "/governor");
    assert!(!own.is_watched() && own.member == Member::Service);
    // In a container: its top group with docker's usual driver, or below it.
    for own in [docker(1), format!("{}/app", docker(1))] {
        let topology = forest.topology(&Rules {
            own: Some(own.as_bytes()),
            ..plain()
        });
        assert!(group(&topology, &docker(1)).protected, "{own}");
        assert!(!group(&topology, &docker(2)).protected);
    }
    let rules = Rules {
        own: Some(b"/"),
        ..plain()
    };
    assert!(!group(&forest.topology(&rules), "/").protected);
}

#[test]
fn names_from_the_runtime_are_taken_and_tamed() {
    let tree = FakeTree::new();
    tree.add(docker(1));
    let mut forest = forest(&tree);
    scan(&mut forest, Extent::All);
    let rules = Rules {
        name: &|runtime, _| (runtime == Runtime::Docker).then(|| "web\n\u{1b}[2J".to_owned()),
        ..plain()
    };
    let topology = forest.topology(&rules);
    assert_eq!(group(&topology, &docker(1)).name(), "web\\n\\u{1b}[2J");
}

#[test]
fn too_many_groups_are_left_out_and_the_hosts_own_come_first() {
    let tree = FakeTree::new();
    tree.add("/a-user");
    tree.set_owner("/a-user", 1000);
    for n in 0..50 {
        tree.add(format!("/a-user/x{n}"));
    }
    for n in 0..5 {
        tree.add(docker(n));
    }
    let limits = Limits {
        groups: 20,
        ..Limits::default()
    };
    let mut forest = Forest::new(tree.clone(), limits);
    let met = forest.scan_whole(&|_| false).unwrap();
    assert!(met.left_out > 0);
    let again = scan(&mut forest, Extent::Changed);
    assert_eq!(again.left_out, met.left_out, "they are still left out");
    let topology = forest.topology(&plain());
    assert!(topology.groups.len() <= 20);
    for n in 0..5 {
        assert!(group(&topology, &docker(n)).is_container());
    }
}

#[test]
fn a_user_with_many_groups_leaves_room_for_the_containers_that_come_later() {
    let tree = FakeTree::new();
    tree.add("/a-user");
    tree.set_owner("/a-user", 1000);
    for n in 0..50 {
        tree.add(format!("/a-user/x{n}"));
    }
    let limits = Limits {
        groups: 20,
        ..Limits::default()
    };
    let mut forest = Forest::new(tree.clone(), limits);
    assert!(scan(&mut forest, Extent::All).left_out > 0);
    for n in 0..5 {
        tree.add(docker(n));
    }
    scan(&mut forest, Extent::Changed);
    let topology = forest.topology(&plain());
    for n in 0..5 {
        assert!(group(&topology, &docker(n)).is_container());
    }
}

#[test]
fn a_scan_opens_a_bounded_number_of_groups_and_the_next_ones_do_the_rest() {
    let tree = FakeTree::new();
    for n in 0..25 {
        tree.add(docker(n));
    }
    let limits = Limits {
        opened_per_scan: 10,
        ..Limits::default()
    };
    let mut forest = Forest::new(tree.clone(), limits);
    let scans = |forest: &mut Forest<FakeTree>| {
        let more = |_: &u32| scan(forest, Extent::Changed).unfinished;
        (2..).take_while(more).last().unwrap_or(1)
    };
    assert_eq!(scans(&mut forest), 4, "eight in each");
    assert_eq!(forest.topology(&plain()).groups.len(), 27);
    (25..90).for_each(|n| _ = tree.add(docker(n)));
    forest.scan_whole(&|_| false).unwrap();
    (90..120).for_each(|n| _ = tree.add(docker(n)));
    assert_eq!(scans(&mut forest), 3, "ten in each: of many more is known");
    assert_eq!(forest.topology(&plain()).groups.len(), 122);
}

#[test]
fn a_group_tells_whether_all_of_its_children_are_known() {
    let tree = FakeTree::new();
    for n in 0..3 {
        tree.add(docker(n));
    }
    let limits = Limits {
        groups: 10,
        opened_per_scan: 2,
    };
    let mut forest = Forest::new(tree.clone(), limits);
    let slice = |forest: &Forest<FakeTree>| {
        let topology = forest.topology(&plain());
        let containers = topology.watched().count();
        (containers, group(&topology, "/system.slice").complete)
    };
    assert!(scan(&mut forest, Extent::All).unfinished);
    assert_eq!(slice(&forest), (1, false));
    scan(&mut forest, Extent::Changed);
    assert_eq!(slice(&forest), (3, true));
    assert!(group(&forest.topology(&plain()), &docker(0)).complete);

    // One cannot be opened, and goes away without ever having been known.
    tree.add(docker(3));
    tree.fail("/system.slice", None, Operation::Open, Absent::Errno(24));
    let met = scan(&mut forest, Extent::Changed);
    assert!(met.changed && met.failed.is_some());
    assert_eq!(slice(&forest), (3, false));
    tree.remove(docker(3));
    assert!(scan(&mut forest, Extent::Changed).changed);
    assert_eq!(slice(&forest), (3, true));

    tree.fail("/system.slice", None, Operation::List, Absent::Errno(12));
    assert!(scan(&mut forest, Extent::All).changed);
    assert_eq!(slice(&forest), (3, false));
    tree.heal();
    scan(&mut forest, Extent::All);
    for n in 4..20 {
        tree.add(docker(n));
    }
    while scan(&mut forest, Extent::Changed).unfinished {}
    assert!(!slice(&forest).1, "there are too many");
}

#[test]
fn the_first_look_knows_everything_and_ends_however_many_are_made() {
    let tree = FakeTree::new();
    for n in 0..300 {
        tree.add(docker(n));
    }
    let mut forest = forest(&tree);
    let met = forest.scan_whole(&|_| false).unwrap();
    assert!(met.changed && !met.unfinished);
    assert_eq!(forest.topology(&plain()).watched().count(), 300);

    let limits = Limits {
        groups: 40,
        opened_per_scan: 10,
    };
    let mut forest = Forest::new(tree.clone(), limits);
    let looks = std::cell::Cell::new(0);
    let met = forest.scan_whole(&|_| {
        // Somebody makes one for each that is looked at.
        looks.set(looks.get() + 1);
        tree.add(format!("/system.slice/made-{}.slice", looks.get()));
        false
    });
    assert!(!met.unwrap().unfinished, "no more than can be known");
    assert!(forest.groups() <= 40);
}

#[test]
fn no_path_grows_without_bound() {
    let tree = FakeTree::new();
    let mut path = String::new();
    for _ in 0..40 {
        path += "/";
        path += &"n".repeat(200);
    }
    tree.add(&path);
    let mut forest = forest(&tree);
    assert!(forest.scan_whole(&|_| false).unwrap().left_out > 0);
    let topology = forest.topology(&plain());
    assert!(topology.groups.iter().all(|g| g.path.len() <= PATH_MAX));
    assert!(topology.groups.len() > 20);
}

#[test]
fn a_policy_with_other_globs_makes_containers_of_other_groups() {
    let tree = FakeTree::new();
    tree.add("/tenants/a/inner");
    let mut forest = forest(&tree);
    scan(&mut forest, Extent::All);
    assert_eq!(forest.topology(&plain()).groups.len(), 4);
    let tenants = |path: &[u8]| path == b"/tenants/a";
    forest.recognise_again(&tenants);
    forest.scan(Extent::All, &tenants).unwrap();
    let topology = forest.topology(&plain());
    assert_eq!(paths(&topology), ["/", "/tenants", "/tenants/a"]);
    assert_eq!(topology.watched().count(), 1);
    forest.recognise_again(&|_| false);
    scan(&mut forest, Extent::All);
    let topology = forest.topology(&plain());
    assert_eq!((topology.groups.len(), topology.watched().count()), (4, 0));
}

#[test]
fn other_globs_make_nobody_look_gone_however_many_there_are() {
    let tree = FakeTree::new();
    for n in 0..300 {
        tree.add(docker(n));
    }
    let mut forest = forest(&tree);
    while scan(&mut forest, Extent::All).unfinished {}
    let tenants = |path: &[u8]| path == b"/tenants/a";
    forest.recognise_again(&tenants);
    forest.scan(Extent::All, &tenants).unwrap();
    assert_eq!(forest.topology(&plain()).watched().count(), 300);
}

#[test]
fn a_root_that_cannot_be_opened_is_the_only_failure_of_a_scan() {
    let tree = FakeTree::new();
    tree.fail("/", None, Operation::Open, Absent::Denied);
    let mut forest = forest(&tree);
    assert_eq!(forest.scan(Extent::All, &|_| false), Err(Absent::Denied));
    assert!(forest.topology(&plain()).groups.is_empty());
}

#[test]
fn a_group_of_an_earlier_run_is_adopted_by_identity_wherever_it_is() {
    let tree = FakeTree::new();
    let scope = docker(1);
    let inner = tree.add(format!("{scope}/container"));
    tree.add(docker(2));
    let mut forest = forest(&tree);
    let whole = format!("{scope}/container");
    assert_eq!(forest.read_knob(inner, Knob::CpuMax), Err(Absent::Gone));
    forest
        .adopt(inner, PathHint::Whole(whole.as_bytes()))
        .unwrap();
    assert_eq!(forest.path(inner), Some(whole.as_bytes()));
    forest.write_knob(inner, Knob::CpuWeight, b"37").unwrap();
    assert_eq!(tree.text(&whole, "cpu.weight").as_deref(), Some("37\n"));

    let mut forest = self::forest(&tree);
    let beginning = "/system.slice/doc";
    forest
        .adopt(inner, PathHint::Beginning(beginning.as_bytes()))
        .unwrap();
    assert_eq!(forest.path(inner), Some(whole.as_bytes()));

    let other = PathHint::Whole(b"/system.slice");
    let mut forest = self::forest(&tree);
    assert_eq!(forest.adopt(inner, other), Err(Absent::Gone));
    tree.remove(&whole);
    let whole = PathHint::Whole(whole.as_bytes());
    assert_eq!(forest.adopt(inner, whole), Err(Absent::Gone));
}

#[test]
fn an_original_is_kept_byte_for_byte() {
    let tree = FakeTree::new();
    let id = tree.add(docker(1));
    tree.set(docker(1), "cpu.max", "max 250000\n");
    let mut forest = forest(&tree);
    scan(&mut forest, Extent::All);
    let original = forest.read_knob(id, Knob::CpuMax).unwrap();
    assert_eq!(original.as_bytes(), b"max 250000");
    tree.set(docker(1), "cpu.max", &"9".repeat(160));
    assert_eq!(forest.read_knob(id, Knob::CpuMax), Err(Absent::Malformed));
}

proptest! {
    /// Any tree of which any groups vanish at any moment: no scan panics, parents stand before
    /// their children, nobody is there twice.
    #[test]
    fn whatever_vanishes_the_tree_stays_a_tree(
        names in prop::collection::vec((0usize..40, 0u32..30), 1..40),
        vanishing in prop::collection::vec((0u32..400, 0usize..40), 0..20),
        opened_per_scan in 1usize..20,
        groups in 2usize..40,
    ) {
        let tree = FakeTree::new();
        let mut all = vec![String::new()];
        for (parent, n) in names {
            let parent = &all[parent % all.len()];
            let path = match n % 3 {
                0 => format!("{parent}/{n}.slice"),
                1 => format!("{parent}/docker-{n:064x}.scope"),
                _ => format!("{parent}/{n}"),
            };
            tree.add(&path);
            all.push(path);
        }
        for (operations, which) in vanishing {
            let path = &all[which % all.len()];
            if !path.is_empty() {
                tree.vanish_after(operations, path);
            }
        }
        let mut forest = Forest::new(tree.clone(), Limits { groups, opened_per_scan });
        for round in 0..20 {
            let extent = if round % 5 == 0 { Extent::All } else { Extent::Changed };
            scan(&mut forest, extent);
            let topology = forest.topology(&plain());
            prop_assert!(topology.groups.len() <= groups);
            let mut seen = std::collections::HashSet::new();
            for (index, group) in topology.groups.iter().enumerate() {
                prop_assert!(seen.insert(group.id));
                prop_assert_eq!(group.parent.is_none(), index == 0);
                if let Some(parent) = group.parent {
                    prop_assert!(parent < index);
                    prop_assert!(!topology.groups[parent].is_container());
                }
            }
        }
    }
}
