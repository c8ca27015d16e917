//! What `governor explain` tells, word for word: the brain is fed a small story, asked, and its answer
//! rendered, as the daemon and a replay do it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

mod host;
mod recorded;

use governor::model::{Absent, Explained, Explanation, GroupId, Member, Policy, Topology, Written};
use governor::report::{Paint, explanation_text};
use insta::assert_snapshot;

use host::{Host, container, group, tree};

/// Ten quiet seconds of a heavy victim and its light neighbours, then a hog for as long as it takes to
/// be held, and then relief.
fn attacked(policy: Policy) -> Host {
    let mut host = Host::new(tree(&["redis", "hog", "batch", "web"]), policy);
    host.fares("redis", 0.6, 0.004);
    host.fares("batch", 0.02, 0.0);
    host.fares("web", 0.0, 0.0);
    host.fares("ssh.service", 0.01, 0.0);
    host.fares("hog", 0.0, 0.0);
    host.run(10.0);
    host.fares("batch", 0.2, 0.0);
    host.run(0.3);
    host.fares("redis", 0.1, 0.2);
    host.fares("hog", 0.6, 0.05);
    host.run_until_held();
    host.fares("redis", 0.6, 0.01);
    host.fares("hog", 0.28, 0.8);
    host.fares("batch", 0.1, 0.02);
    host.run(1.0);
    host
}

#[test]
fn a_victim_is_told_who_harmed_it_how_much_and_why_not_the_others() {
    let host = attacked(Policy::default());
    assert_snapshot!(host.text("redis"), @"
    redis (docker): victim for 1.0s
    path    /system.slice/docker-redis.scope
    as of   2026-11-24T03:00:12.360Z

    It waited for what others took, so hog is held for it.

    cpu     waits 1.0 % of the time, 0.0 % by others' doing; up to 2.4 % is tolerated; the rest is no
            harm: it gets what it may take, and waits for itself
            takes 0.60 CPUs, may take 0.60 CPUs while others want more: it needed that while there was
            CPU to spare (its share by weight would be 0.25 CPUs); and may catch up on 30ms that others
            kept from it
    memory  does not wait
            has 47MiB, may have 512MiB while memory is short: an equal part of the host's memory

    HELD: hog for redis (cpu), since 1.0s
    how     cpu.weight 100 → 16: it gets all the CPU that nobody else wants, and 0.05 CPUs for certain;
            it takes 0.28 CPUs now, and is entitled to 0.14 CPUs
    where   /system.slice/docker-hog.scope in the cgroup tree
    proof   confirmed: redis waited 20 % of the time by others' doing before, 0.0 % now
    until   it stands for 2.0s at least: 1.0s to go
            redis, and whoever else is harmed by hog, must be calm for 2.0s: 1.4s to go
            hog must want no more CPU than it gets: it still wants more
            the first step back comes when all of that is so, not before, and in 1.4s at the earliest;
            the last of 4, 500ms apart, gives everything back
    lease   29s left, renewed as long as the governor lives and wants it; should it die, its next start
            or `governor restore` puts the original back

    SUSPECTED of redis's harm (cpu) when that was decided, 1.0s ago; what they took then
    SUSPECT      BLAME %      TAKES   MAY TAKE  HELD, OR WHY NOT
    hog               74  0.36 CPUs  0.13 CPUs  held
    batch             26  0.20 CPUs  0.14 CPUs  blamed 2.9 times less than the first (up to 1.5 is held too)
    web              0.0  0.00 CPUs  0.09 CPUs  takes about what it may, or less
    ssh.service      0.0  0.01 CPUs  0.13 CPUs  takes about what it may, or less

    HISTORY of what was held of it or for it
       BEGAN  LASTED  HELD  FOR    STEPS                HARM %  VERDICT    END
    1.0s ago    1.0s  hog   redis  cpu.weight 100→16  20 → 0.0  confirmed  stands
    ");
}

#[test]
fn an_aggressor_under_a_weight_is_told_for_whom_and_until_when() {
    let host = attacked(Policy::default());
    assert_snapshot!(host.text("hog"), @"
    hog (docker): aggressor for 1.0s
    path    /system.slice/docker-hog.scope
    as of   2026-11-24T03:00:12.360Z

    It took more than it may take while redis waited, so it is held.

    cpu     waits 80 % of the time, 0.0 % by others' doing; up to 2.0 % is tolerated; the rest is no
            harm: it waits because it is held
            takes 0.28 CPUs, may take 0.14 CPUs while others want more: what the others, who needed
            theirs before, leave of its share by weight (0.25 CPUs)
    memory  does not wait
            has 47MiB, may have 512MiB while memory is short: an equal part of the host's memory

    HELD: hog for redis (cpu), since 1.0s
    how     cpu.weight 100 → 16: it gets all the CPU that nobody else wants, and 0.05 CPUs for certain;
            it takes 0.28 CPUs now, and is entitled to 0.14 CPUs
    where   /system.slice/docker-hog.scope in the cgroup tree
    proof   confirmed: redis waited 20 % of the time by others' doing before, 0.0 % now
    until   it stands for 2.0s at least: 1.0s to go
            redis, and whoever else is harmed by hog, must be calm for 2.0s: 1.4s to go
            hog must want no more CPU than it gets: it still wants more
            the first step back comes when all of that is so, not before, and in 1.4s at the earliest;
            the last of 4, 500ms apart, gives everything back
    lease   29s left, renewed as long as the governor lives and wants it; should it die, its next start
            or `governor restore` puts the original back

    SUSPECTED of redis's harm (cpu) when that was decided, 1.0s ago; what they took then
    SUSPECT      BLAME %      TAKES   MAY TAKE  HELD, OR WHY NOT
    hog               74  0.36 CPUs  0.13 CPUs  held
    batch             26  0.20 CPUs  0.14 CPUs  blamed 2.9 times less than the first (up to 1.5 is held too)
    web              0.0  0.00 CPUs  0.09 CPUs  takes about what it may, or less
    ssh.service      0.0  0.01 CPUs  0.13 CPUs  takes about what it may, or less

    HISTORY of what was held of it or for it
       BEGAN  LASTED  HELD  FOR    STEPS                HARM %  VERDICT    END
    1.0s ago    1.0s  hog   redis  cpu.weight 100→16  20 → 0.0  confirmed  stands
    ");
}

#[test]
fn while_the_proof_runs_that_is_what_is_waited_for() {
    let mut host = attacked(Policy::default());
    host.fares("hog", 0.0, 0.0);
    host.run(30.0);
    host.fares("redis", 0.35, 0.5);
    host.fares("hog", 0.5, 0.5);
    host.run_until_held();
    let text = host.text("hog");
    assert!(
        text.contains("proof   being measured: redis waited"),
        "{text}"
    );
    assert!(
        text.contains("it must be known whether this helps: 400ms to go"),
        "{text}"
    );
    assert!(
        text.contains("given back: not needed any more"),
        "the first time is history: {text}"
    );
}

/// A hog in a slice of its own with another container.
fn one_of_two() -> Topology {
    let mut groups = tree(&["redis", "hog"]);
    groups.groups[4].path = b"/machine.slice/libpod-hog.scope".to_vec();
    groups.groups[4].parent = Some(5);
    groups
        .groups
        .push(group(20, Some(0), "/machine.slice", Member::Inner));
    groups.groups.push(group(
        21,
        Some(5),
        "/machine.slice/libpod-web.scope",
        container("web"),
    ));
    groups.groups.swap(4, 5);
    groups.groups[5].parent = Some(4);
    groups.groups[6].parent = Some(4);
    groups
}

#[test]
fn two_weights_are_told_where_the_slice_holds_another_one() {
    let mut host = Host::new(one_of_two(), Policy::default());
    host.fares("redis", 0.6, 0.004);
    host.fares("hog", 0.0, 0.0);
    host.fares("web", 0.0, 0.0);
    host.run(10.0);
    host.fares("redis", 0.35, 0.5);
    host.fares("hog", 0.5, 0.5);
    host.run_until_held();
    host.fares("redis", 0.6, 0.02);
    host.fares("hog", 0.38, 0.8);
    host.run(3.0);
    let text = host.text("hog");
    let held = text.find("HELD").zip(text.find("SUSPECTED"));
    let (from, to) = held.unwrap_or_else(|| panic!("{text}"));
    assert_snapshot!(&text[from..to], @r"
    HELD: hog for redis (cpu), since 3.0s
    how     cpu.weight 100 → 10: it gets all the CPU that nobody else wants, and 0.09 CPUs for certain;
            it takes 0.38 CPUs now, and is entitled to 0.40 CPUs
    where   /machine.slice in the cgroup tree
    inside  cpu.weight 100 → 1 of hog itself: the others in /machine.slice come first
    proof   confirmed: redis waited 50 % of the time by others' doing before, 0.0 % now
    until   hog must want no more CPU than it gets: it still wants more
            the first step back comes when that is so, not before; the last of 4, 500ms apart, gives
            everything back
    lease   27s left, renewed as long as the governor lives and wants it; should it die, its next start
            or `governor restore` puts the original back
    ");
}

#[test]
fn where_no_weight_reaches_the_cap_and_its_trial_are_told() {
    let mut groups = one_of_two();
    groups.groups[6].protected = true;
    let mut host = Host::new(groups, Policy::default());
    host.fares("redis", 0.6, 0.004);
    host.fares("hog", 0.0, 0.0);
    host.fares("web", 0.0, 0.0);
    host.run(10.0);
    host.fares("redis", 0.35, 0.5);
    host.fares("hog", 0.5, 0.5);
    host.run_until_held();
    host.fares("redis", 0.6, 0.02);
    host.fares("hog", 0.16, 0.8);
    host.fares.get_mut("hog").unwrap().throttled = 0.8;
    host.run(6.0);
    assert_snapshot!(host.text("hog"), @"
    hog (docker): aggressor for 6.0s
    path    /machine.slice/libpod-hog.scope
    as of   2026-11-24T03:00:17.100Z

    It took more than it may take while redis waited, so it is held.

    cpu     waits 80 % of the time, 0.0 % by others' doing; up to 2.0 % is tolerated; the rest is no
            harm: it waits because it is held
            takes 0.16 CPUs, may take 0.40 CPUs while others want more: what the others, who needed
            theirs before, leave of its share by weight (0.50 CPUs)
    memory  does not wait
            has 47MiB, may have 682MiB while memory is short: an equal part of the host's memory

    HELD: hog for redis (cpu), since 6.0s
    how     cpu.max max 100000 → 1601 10000: it gets 0.16 CPUs at most, even if nobody wants the rest;
            it takes 0.16 CPUs now, and is entitled to 0.40 CPUs
    where   /machine.slice/libpod-hog.scope in the cgroup tree
    proof   confirmed: redis waited 50 % of the time by others' doing before, 0.0 % now
    until   hog must want no more CPU than it gets: it still wants more, and is tried back all the same
            in 4.0s
            the first step back comes when that is so, not before; the last of 8, 500ms apart, gives
            everything back
    lease   24s left, renewed as long as the governor lives and wants it; should it die, its next start
            or `governor restore` puts the original back

    SUSPECTED of redis's harm (cpu) when that was decided, 6.0s ago; what they took then
    SUSPECT      BLAME %      TAKES   MAY TAKE  HELD, OR WHY NOT
    hog              100  0.50 CPUs  0.40 CPUs  held
    ssh.service      0.0  0.00 CPUs  0.16 CPUs  takes about what it may, or less
    web              0.0  0.00 CPUs  0.16 CPUs  takes about what it may, or less

    HISTORY of what was held of it or for it
       BEGAN  LASTED  HELD  FOR    STEPS               HARM %  VERDICT    END
    6.0s ago    6.0s  hog   redis  cpu.max max→0.16  50 → 0.0  confirmed  stands
    ");
}

#[test]
fn one_that_grows_without_bounds_is_told_that_there_is_no_room() {
    let mut host = Host::new(tree(&["redis", "hog"]), Policy::default());
    host.fares("redis", 0.1, 0.0);
    host.fares("hog", 0.1, 0.0);
    host.fares.get_mut("redis").unwrap().has = 300e6;
    host.run(15.0);
    host.fares.get_mut("hog").unwrap().grows = 300e6;
    host.run_until_held();
    host.fares.get_mut("hog").unwrap().waits_memory = 0.5;
    host.run(6.0);
    assert_snapshot!(host.text("hog"), @r##"
hog (docker): aggressor for 6.0s
path    /system.slice/docker-hog.scope
as of   2026-11-24T03:00:26.420Z

It took more than it may take while redis waited, so it is held.

cpu     does not wait
        takes 0.10 CPUs, may take 0.50 CPUs while others want more: its share by weight among those
        who run
memory  waits 50 % of the time, 0.0 % by others' doing; up to 2.0 % is tolerated; the rest is no
        harm: it waits because it is held
        has 1312MiB, may have 1024MiB while memory is short: an equal part of the host's memory

HELD: hog for redis (memory), since 6.0s
how     memory.high max → 1312MiB: above 1312MiB the kernel takes memory back from it and slows it;
        it has 1312MiB now, and is entitled to 1024MiB
where   /system.slice/docker-hog.scope in the cgroup tree
proof   confirmed: the harm to redis was 50 % of the time before, 0.0 % now
until   there must be free memory for what hog would take: there is not
        the first step back comes when that is so, not before; the last of 8, 500ms apart, gives
        everything back
lease   24s left, renewed as long as the governor lives and wants it; should it die, its next start
        or `governor restore` puts the original back

SUSPECTED of redis's harm (memory) when that was decided, 6.0s ago; what they took then
SUSPECT      BLAME %               TAKES  MAY TAKE  HELD, OR WHY NOT
hog              100  1312MiB, +286MiB/s   1024MiB  held
ssh.service      0.0                  0B   1024MiB  takes about what it may, or less

HISTORY of what was held of it or for it
   BEGAN  LASTED  HELD  FOR    STEPS                      HARM %  VERDICT    END
6.0s ago    6.0s  hog   redis  memory.high max→1312MiB  50 → 0.0  confirmed  stands
"##);
    let victim = host.text("redis");
    assert!(victim.contains("HELD: hog for redis (memory)"), "{victim}");
}

#[test]
fn one_that_was_held_in_vain_is_cleared_and_that_is_told() {
    let mut host = Host::new(tree(&["redis", "hog", "batch"]), Policy::default());
    host.fares("redis", 0.6, 0.004);
    host.fares("hog", 0.0, 0.0);
    host.fares("batch", 0.02, 0.0);
    host.run(10.0);
    host.fares("redis", 0.3, 0.5);
    host.fares("hog", 0.5, 0.5);
    host.run_until_held();
    // Harm that stays though the hog takes less.
    host.fares("hog", 0.1, 0.5);
    host.run(0.42);
    host.fares("hog", 0.12, 0.5);
    host.run(0.18);
    assert!(host.knobs.is_empty(), "{:?}", host.knobs);
    assert_snapshot!(host.text("hog"), @"
    hog (docker): victim for 0.2s
    path    /system.slice/docker-hog.scope
    as of   2026-11-24T03:00:11.660Z

    It waits for what others take, and nobody is held for it.
    Why not (cpu): nobody takes more than it may.
    It is blamed for 100 % of the harm to redis (cpu), and not held for that: cleared for 9.8s yet: to
    hold it brought no relief, or failed.

    cpu     waits 50 % of the time, 19 % by others' doing; up to 12 % is tolerated
            so 24ms of harm have summed up; the alarm, at 8ms, is on
            takes 0.11 CPUs, may take 0.20 CPUs while others want more: what the others, who needed
            theirs before, leave of its share by weight (0.33 CPUs)
    memory  does not wait
            has 47MiB, may have 682MiB while memory is short: an equal part of the host's memory

    SUSPECTED of its harm (cpu) now
    SUSPECT      BLAME %      TAKES   MAY TAKE  HELD, OR WHY NOT
    ssh.service      0.0  0.00 CPUs  0.12 CPUs  takes about what it may, or less
    batch            0.0  0.02 CPUs  0.20 CPUs  takes about what it may, or less
    redis            0.0  0.30 CPUs  0.60 CPUs  catches up on what others kept from it

    HISTORY of what was held of it or for it
       BEGAN  LASTED  HELD  FOR    STEPS              HARM %  VERDICT     END
    0.6s ago    0.4s  hog   redis  cpu.weight 100→9  50 → 50  exonerated  undone: it brought no relief
    ");
    let victim = host.text("redis");
    assert!(victim.contains("brought no relief"), "{victim}");
}

#[test]
fn a_calm_one_is_told_so_in_few_words() {
    let mut host = Host::new(tree(&["redis", "web"]), Policy::default());
    host.fares("redis", 0.3, 0.004);
    host.fares("web", 0.1, 0.0);
    host.run(10.0);
    assert_snapshot!(host.text("redis"), @r##"
redis (docker): calm for 10s
path    /system.slice/docker-redis.scope
as of   2026-11-24T03:00:11.000Z

Nothing is wrong: nobody harms it, and it harms nobody.

cpu     waits 0.4 % of the time, 0.4 % by others' doing; up to 12 % is tolerated
        takes 0.30 CPUs, may take 0.50 CPUs while others want more: its share by weight among those
        who run
memory  does not wait
        has 47MiB, may have 1024MiB while memory is short: an equal part of the host's memory
"##);
}

#[test]
fn a_protected_service_is_never_held_and_its_harm_counts() {
    let mut host = Host::new(tree(&["web"]), Policy::default());
    host.fares("ssh.service", 0.05, 0.0);
    host.fares("web", 0.1, 0.0);
    host.run(10.0);
    assert_snapshot!(host.text("ssh.service"), @r##"
ssh.service (service): protected for 10s
path    /system.slice/ssh.service
as of   2026-11-24T03:00:11.000Z

The policy protects it: its waiting counts as harm, and it is never held.

cpu     does not wait
        takes 0.05 CPUs, may take 0.50 CPUs while others want more: its share by weight among those
        who run
memory  does not wait
        has 47MiB, may have 2048MiB while memory is short: an equal part of the host's memory
"##);
}

#[test]
fn a_victim_that_nobody_is_held_for_is_told_why_of_each() {
    let mut host = Host::new(tree(&["redis", "web"]), Policy::default());
    host.fares("redis", 0.6, 0.004);
    host.fares("ssh.service", 0.0, 0.0);
    host.fares("web", 0.0, 0.0);
    host.run(10.0);
    host.fares("redis", 0.35, 0.5);
    host.fares("ssh.service", 0.6, 0.2);
    host.run(1.0);
    assert!(host.knobs.is_empty(), "{:?}", host.knobs);
    assert_snapshot!(host.text("redis"), @"
    redis (docker): victim for 1.0s
    path    /system.slice/docker-redis.scope
    as of   2026-11-24T03:00:12.000Z

    It waits for what others take, and nobody is held for it.
    Why not (cpu): the policy protects those who take too much.

    cpu     waits 50 % of the time, 50 % by others' doing; up to 2.4 % is tolerated
            so 24ms of harm have summed up; the alarm, at 8ms, is on
            takes 0.35 CPUs, may take 0.60 CPUs while others want more: it needed that while there was
            CPU to spare (its share by weight would be 0.50 CPUs); and may catch up on 250ms that others
            kept from it
    memory  does not wait
            has 47MiB, may have 1024MiB while memory is short: an equal part of the host's memory

    SUSPECTED of its harm (cpu) now
    SUSPECT      BLAME %      TAKES   MAY TAKE  HELD, OR WHY NOT
    ssh.service      100  0.60 CPUs  0.40 CPUs  protected by the policy
    web              0.0  0.00 CPUs  0.20 CPUs  takes about what it may, or less
    ");
}

#[test]
fn in_a_dry_run_nothing_is_called_written() {
    let policy = Policy {
        mode: governor::model::Mode::DryRun,
        ..Policy::default()
    };
    let mut host = Host::new(tree(&["redis", "hog"]), policy);
    host.refused = Some(Written::WouldWrite);
    host.fares("redis", 0.6, 0.004);
    host.fares("hog", 0.0, 0.0);
    host.run(10.0);
    host.fares("redis", 0.35, 0.5);
    host.fares("hog", 0.5, 0.5);
    host.run_until_held();
    host.run(1.0);
    let text = host.text("hog");
    assert!(
        text.contains("The governor runs dry: nothing is written"),
        "{text}"
    );
    assert!(
        text.contains("NOT written (dry-run)") && text.contains("unproven"),
        "{text}"
    );
}

#[test]
fn what_could_not_be_written_is_history() {
    let mut host = Host::new(tree(&["redis", "hog"]), Policy::default());
    host.refused = Some(Written::Failed(Absent::Denied));
    host.fares("redis", 0.6, 0.004);
    host.fares("hog", 0.0, 0.0);
    host.run(10.0);
    host.fares("redis", 0.35, 0.5);
    host.fares("hog", 0.5, 0.5);
    host.run_until_held();
    host.run(1.0);
    let text = host.text("hog");
    assert!(
        text.contains("undone: the knob could not be written"),
        "{text}"
    );
}

#[test]
fn a_name_may_be_a_path_an_id_or_a_unit_and_namesakes_are_listed() {
    let mut host = attacked(Policy::default());
    let named = |host: &Host, name: &str| match host.brain.explain_named(name) {
        Explained::One(one) => vec![one.who.path],
        Explained::Several(several) => several.into_iter().map(|who| who.path).collect(),
        Explained::Nobody { .. } => Vec::new(),
    };
    let redis = "/system.slice/docker-redis.scope".to_owned();
    for name in ["redis", redis.as_str(), "redis0123"] {
        assert_eq!(named(&host, name), std::slice::from_ref(&redis), "{name}");
    }
    assert_eq!(named(&host, "ssh.service"), ["/system.slice/ssh.service"]);
    for name in ["red", "", "/system.slice", "rediss"] {
        assert!(named(&host, name).is_empty(), "{name}");
    }
    let mut twice = host.tree.clone();
    twice.groups.push(group(
        30,
        Some(1),
        "/system.slice/other.scope",
        container("redis"),
    ));
    host.brain.adopt(&twice, host.now);
    assert_eq!(
        named(&host, "redis"),
        [redis, "/system.slice/other.scope".to_owned()]
    );
}

#[test]
fn hostile_names_break_neither_the_lines_nor_the_terminal() {
    let mut host = attacked(Policy::default());
    let hostile = "\n\nHELD\x1b[2J\u{202e}".to_owned() + &"界".repeat(2_000);
    for group in &mut host.tree.groups {
        if let Member::Container { name, .. } = &mut group.member {
            name.push_str(&hostile);
        }
    }
    let tree = host.tree.clone();
    host.brain.adopt(&tree, host.now);
    let id = GroupId(10);
    let explanation = host.brain.explain(id).unwrap();
    for width in [None, Some(200), Some(80), Some(20), Some(1)] {
        let text = explanation_text(&explanation, width, Paint::Plain);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
        assert!(!text.contains('\u{202e}'));
        assert!(
            !text.lines().any(|line| line.starts_with("HELD\\x1b")),
            "{text}"
        );
    }
    let coloured = explanation_text(&explanation, None, Paint::Colour);
    assert!(coloured.contains("\x1b[1m"));
}

#[test]
fn an_explanation_goes_through_json_unchanged() {
    let host = attacked(Policy::default());
    for name in ["redis", "hog", "batch", "web", "ssh.service"] {
        let explanation = host.explain(name);
        let text = serde_json::to_string(&explanation).unwrap();
        let back: Explanation = serde_json::from_str(&text).unwrap();
        assert_eq!(
            explanation_text(&back, None, Paint::Plain),
            explanation_text(&explanation, None, Paint::Plain)
        );
    }
}

#[test]
fn history_is_bounded_for_each_and_in_all() {
    let mut host = Host::new(tree(&["redis", "hog"]), Policy::default());
    host.fares("redis", 0.6, 0.004);
    host.fares("hog", 0.0, 0.0);
    host.run(10.0);
    for _ in 0..20 {
        host.fares("redis", 0.35, 0.5);
        host.fares("hog", 0.5, 0.5);
        host.run_until_held();
        host.fares("redis", 0.6, 0.004);
        host.run(1.0);
        host.fares("hog", 0.0, 0.0);
        host.run(400.0);
        assert!(host.knobs.is_empty(), "{:?}", host.knobs);
    }
    assert_eq!(host.explain("hog").history.len(), 8);
    assert_eq!(host.explain("redis").history.len(), 8);
}

#[test]
fn of_many_alike_nobody_is_held_and_each_is_told_so() {
    let many = ["redis", "a", "b", "c", "d", "e"];
    let mut host = Host::new(tree(&many), Policy::default());
    host.fares("redis", 0.5, 0.004);
    for name in &many[1..] {
        host.fares(name, 0.0, 0.0);
    }
    host.run(10.0);
    host.fares("redis", 0.05, 0.5);
    for name in &many[1..] {
        host.fares(name, 0.3, 0.01);
    }
    host.run(1.0);
    let text = host.text("redis");
    assert!(
        text.contains("Why not (cpu): so many are to blame alike that nobody stands out."),
        "{text}"
    );
    let alike = text.matches("  one of many who are blamed alike\n").count();
    assert_eq!(alike, 5, "{text}");
}

#[test]
fn one_of_the_same_pod_is_no_suspect() {
    let mut groups = tree(&["redis", "sidecar"]);
    for group in &mut groups.groups {
        if let Member::Container { pod, .. } = &mut group.member {
            *pod = Some("shop".to_owned());
        }
    }
    let mut host = Host::new(groups, Policy::default());
    host.fares("redis", 0.6, 0.004);
    host.fares("sidecar", 0.0, 0.0);
    host.run(10.0);
    host.fares("redis", 0.3, 0.5);
    host.fares("sidecar", 0.7, 0.01);
    host.run(1.0);
    assert!(host.knobs.is_empty(), "{:?}", host.knobs);
    let text = host.text("redis");
    assert!(text.contains("  of the same pod\n"), "{text}");
    assert!(
        text.contains("Why not (cpu): nobody takes more than it may."),
        "{text}"
    );
}

#[test]
fn a_lease_that_ran_out_while_the_governor_did_not_run_is_history() {
    let mut host = attacked(Policy::default());
    assert!(!host.text("hog").contains("expired"));
    host.sleep(governor::model::Span::from_secs(40));
    host.tick();
    let text = host.text("hog");
    assert!(text.contains("  confirmed, expired  "), "{text}");
}
