//! What people see, word for word.

use insta::assert_snapshot;
use unicode_width::UnicodeWidthStr;

use super::*;
use crate::model::{
    Absent, ContainerView, Contender, Event, EventKind, Evidence, Group, GroupId, Header, Knob,
    KnobValue, Knobs, Limit, LimitView, Member, Resource, Role, Rung, Runtime, Share, Span, Status,
    Time, Topology, Verdict, Weight, WhyNobody,
};

fn status() -> Status {
    let redis = ContainerView {
        name: "redis".to_owned(),
        runtime: "docker".to_owned(),
        path: "/system.slice/docker-aa.scope".to_owned(),
        cpu: Some(0.08),
        throttled: Some(0.0),
        psi_cpu: Some(0.382),
        psi_memory: Some(0.0),
        memory: Some(12 << 20),
        memory_limit: Some(Limit::Max),
        pids: Some(5),
        pids_max: Some(Limit::Max),
        role: Role::Victim,
        why: "waits 38 % of the time for a CPU, 0.5 % when it is quiet".to_owned(),
        since_s: Some(3.2),
        ..ContainerView::default()
    };
    let hog = ContainerView {
        name: "hog".to_owned(),
        path: "/system.slice/docker-bb.scope".to_owned(),
        cpu: Some(1.93),
        memory: Some(3 << 30),
        memory_limit: Some(Limit::At(4 << 30)),
        pids: Some(9),
        pids_max: Some(Limit::At(1_000)),
        psi_cpu: None,
        role: Role::Aggressor,
        why: "uses 1.93 CPUs of its 1.00 while redis waits".to_owned(),
        since_s: Some(2.9),
        ..redis.clone()
    };
    let limit = LimitView {
        container: "hog".to_owned(),
        path: hog.path.clone(),
        lever: hog.path.clone(),
        victim: "redis".to_owned(),
        resource: Resource::Cpu,
        rung: Rung::Weight,
        knob: "cpu.weight".to_owned(),
        original: "100".to_owned(),
        now: "4".to_owned(),
        proof: "proving".to_owned(),
        age_s: 0.3,
        lease_s: 29.7,
    };
    Status {
        header: Header {
            source: "daemon".to_owned(),
            version: "0.1.0".to_owned(),
            policy: "/etc/governor/governor.toml".to_owned(),
            policy_age_s: 7_300.0,
            uptime_s: 86_400.0,
            pace: "alert".to_owned(),
            interval_ms: 20.0,
            doorbells: 12,
            ticks: 81_234,
            own_cpu: Some(0.0031),
            lateness_p50_ms: Some(0.08),
            lateness_p99_ms: Some(0.41),
            lateness_max_ms: Some(2.1),
            ..Header::default()
        },
        containers: vec![redis, hog],
        limits: vec![limit],
    }
}

fn troubled() -> Status {
    let mut status = status();
    status.header.cannot_act = 3;
    status.header.drifts = 1;
    status.header.age_s = 4.0;
    status.header.degraded = vec!["PSI is off: boot with psi=1".to_owned()];
    status.header.other_managers = vec!["systemd-oomd".to_owned()];
    status
}

#[test]
fn a_status_in_a_file_has_every_column_and_one_line_a_container() {
    assert_snapshot!(status_text(&status(), None, Paint::Plain), @r##"
governor 0.1.0 (daemon)  mode enforce  up 1d00h
policy  /etc/governor/governor.toml, loaded 2h01m ago
loop    alert, every 20 ms, 12 doorbells, 81234 ticks
self    0.31 % of a CPU, late p50 0.1 / p99 0.4 / max 2.1 ms

NAME   RUNTIME  CPU %  THROTTLED %  PSI cpu/mem        MEM / LIMIT  PIDS / MAX  ROLE       LIMITS                SINCE  WHY
redis  docker     8.0          0.0       38/0.0        12MiB / max     5 / max  victim     -                      3.2s  waits 38 % of the time for a CPU, 0.5 % when it is quiet
hog    docker     193          0.0        -/0.0  3072MiB / 4096MiB    9 / 1000  aggressor  cpu.weight 100→4 30s   2.9s  uses 1.93 CPUs of its 1.00 while redis waits

HELD  KNOB        ORIGINAL  NOW  FOR VICTIM  PROOF     AGE  LEASE  LEVER
hog   cpu.weight       100    4  redis       proving  0.3s    30s  /system.slice/docker-bb.scope
"##);
}

#[test]
fn a_status_on_a_narrow_terminal_leaves_out_what_matters_least_and_says_so() {
    let text = status_text(&status(), Some(100), Paint::Plain);
    assert!(text.lines().all(|line| line.width() <= 100), "{text}");
    assert_snapshot!(text, @r##"
governor 0.1.0 (daemon)  mode enforce  up 1d00h
policy  /etc/governor/governor.toml, loaded 2h01m ago
loop    alert, every 20 ms, 12 doorbells, 81234 ticks
self    0.31 % of a CPU, late p50 0.1 / p99 0.4 / max 2.1 ms

NAME   CPU %  PSI cpu/mem        MEM / LIMIT  ROLE       LIMITS                WHY
redis    8.0       38/0.0        12MiB / max  victim     -                     waits 38 % of the…
hog      193        -/0.0  3072MiB / 4096MiB  aggressor  cpu.weight 100→4 30s  uses 1.93 CPUs of…
(no room for: THROTTLED %, RUNTIME, PIDS / MAX, SINCE)

HELD  KNOB        ORIGINAL  NOW  FOR VICTIM  PROOF     AGE  LEASE  LEVER
hog   cpu.weight       100    4  redis       proving  0.3s    30s  /system.slice/docker-bb.scope
"##);
}

#[test]
fn what_is_wrong_stands_at_the_end_the_worst_first() {
    let text = status_text(&troubled(), None, Paint::Plain);
    let end: Vec<&str> = text.lines().rev().take(5).collect();
    assert_snapshot!(end.into_iter().rev().collect::<Vec<_>>().join("\n"), @r##"
CANNOT ACT: 3 writes failed since the start; `governor doctor` tells why
DRIFT: 1 held knobs were changed by somebody else and left to them
OLD: the control loop last reported 4.0s ago
degraded: PSI is off: boot with psi=1
also manages cgroups here: systemd-oomd
"##);
}

#[test]
fn a_direct_sample_shows_no_loop_and_no_containers_is_said() {
    let status = Status {
        header: Header {
            source: "direct sample".to_owned(),
            version: "0.1.0".to_owned(),
            policy: "built-in".to_owned(),
            ..Header::default()
        },
        ..Status::default()
    };
    assert_snapshot!(status_text(&status, Some(80), Paint::Plain), @r##"
governor 0.1.0 (direct sample)
policy  built-in

no containers
"##);
}

#[test]
fn colours_change_nothing_but_the_colours() {
    let painted = status_text(&troubled(), Some(120), Paint::Colour);
    assert!(painted.contains("\x1b[31m") && painted.contains("\x1b[0m"));
    let mut plain = String::new();
    let mut inside = false;
    for c in painted.chars() {
        match c {
            '\x1b' => inside = true,
            'm' if inside => inside = false,
            c if !inside => plain.push(c),
            _ => {}
        }
    }
    assert_eq!(plain, status_text(&troubled(), Some(120), Paint::Plain));
}

/// What a container may call itself, its cgroup and its pod.
fn hostile_names() -> Vec<String> {
    vec![
        "\n\nNAME  ROLE\nvictim  aggressor".to_owned(),
        "\x1b[2J\x1b]0;owned\x07".to_owned(),
        "\u{202e}kcatta\u{2066}\u{200d}".to_owned(),
        "x".repeat(4_096),
        "界".repeat(2_000),
        String::from_utf8_lossy(b"\xff\xfe\x00").into_owned(),
        String::new(),
    ]
}

#[test]
fn hostile_names_break_neither_the_lines_nor_the_terminal() {
    let mut status = troubled();
    status.containers = hostile_names()
        .into_iter()
        .map(|name| ContainerView {
            runtime: name.clone(),
            path: name.clone(),
            why: name.clone(),
            name,
            ..ContainerView::default()
        })
        .collect();
    let template = status.limits[0].clone();
    status.limits = hostile_names()
        .into_iter()
        .map(|name| LimitView {
            container: name.clone(),
            victim: name.clone(),
            lever: name.clone(),
            original: name.clone(),
            ..template.clone()
        })
        .collect();
    for width in [None, Some(200), Some(100), Some(40), Some(1)] {
        let text = status_text(&status, width, Paint::Plain);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
        let records = status.containers.len() + status.limits.len();
        // Three of the header, two heads, two empty lines, warnings, and what had no room.
        let most = records + 4 + 2 + 3 + 5 + 2;
        assert!(text.lines().count() <= most, "{width:?}:\n{text}");
    }
    let text = status_text(&status, Some(120), Paint::Plain);
    let first: Vec<&str> = text.lines().skip(5).take(3).collect();
    assert_snapshot!(first.join("\n"), @r##"
NAME                              CPU %  PSI cpu/mem  MEM / LIMIT  PIDS / MAX  ROLE  LIMITS  SINCE  WHY
\n\nNAME  ROLE\nvicti… aggressor      -          -/-            -           -  calm  -           -  \n\nNAME …
\x1b[2J\x1b]0;owned\x07               -          -/-            -           -  calm  -           -  \x1b[2J\x1b]0;own…
"##);
}

#[test]
fn the_json_has_every_field_and_escapes_what_is_hostile() {
    let mut status = status();
    status.containers[0].name = "a\n\x1b[2J".to_owned();
    let text = serde_json::to_string(&status).unwrap();
    assert!(text.contains(r#""name":"a\n\u001b[2J""#), "{text}");
    assert!(text.contains(r#""mode":"enforce""#) && text.contains(r#""role":"victim""#));
    assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
}

fn topology() -> Topology {
    let group = |id, path: &str, name: &str| Group {
        id: GroupId(id),
        parent: None,
        path: path.as_bytes().to_vec(),
        member: Member::Container {
            runtime: Runtime::Docker,
            key: "aa".to_owned(),
            name: name.to_owned(),
            pod: None,
        },
        knobs: Knobs {
            cpu_weight: Ok(Weight::DEFAULT),
            ..Knobs::absent(Absent::NotRead)
        },
        protected: false,
        complete: true,
    };
    Topology {
        groups: vec![
            group(1, "/system.slice/docker-aa.scope", "redis"),
            group(
                2,
                "/system.slice/docker-bb.scope",
                "hog one\nalarm victim=x",
            ),
        ],
    }
}

fn event(kind: EventKind) -> Event {
    Event {
        at: Time::default(),
        kind,
        evidence: Evidence {
            resource: Some(Resource::Cpu),
            victim: Some(GroupId(1)),
            harm: 0.382,
            baseline: 0.005,
            bucket: Span::from_millis(12),
            aggressor: Some(GroupId(2)),
            suspects: vec![
                Contender {
                    id: GroupId(2),
                    blame: Share::new(0.97),
                    usage: 1.93,
                    entitlement: 1.0,
                },
                Contender {
                    id: GroupId(77),
                    blame: Share::new(0.03),
                    usage: 0.05,
                    entitlement: 1.0,
                },
            ],
            ..Evidence::default()
        },
    }
}

#[test]
fn an_event_is_one_line_with_who_whom_how_much_and_why() {
    let value = KnobValue::Weight(Weight::nearest(4.0));
    let lever = GroupId(2);
    let knob = Knob::CpuWeight;
    let tightened = EventKind::Tightened { lever, knob, value };
    assert_snapshot!(event_line(&event(tightened), &topology()), @r##"tightened aggressor="hog one\nalarm victim=x" victim=redis resource=cpu knob=cpu.weight original=100 to=4 lever=/system.slice/docker-bb.scope harm=38.2% baseline=0.5% bucket=12ms suspects="hog one\nalarm victim=x":blame=97%,used=1.93cpu/0.5s,of=1.00cpu;#77:blame=3%,used=0.05cpu/0.5s,of=1.00cpu"##);
    assert_snapshot!(event_line(&event(EventKind::Nobody(WhyNobody::NoMargin)), &topology()), @r##"nobody-to-blame aggressor="hog one\nalarm victim=x" victim=redis resource=cpu why="no suspect stands out from the next" harm=38.2% baseline=0.5% bucket=12ms suspects="hog one\nalarm victim=x":blame=97%,used=1.93cpu/0.5s,of=1.00cpu;#77:blame=3%,used=0.05cpu/0.5s,of=1.00cpu"##);
}

#[test]
fn no_event_spans_two_lines_or_names_a_number_that_is_not_there() {
    let lever = GroupId(99);
    let knob = Knob::MemoryHigh;
    let value = KnobValue::Bytes(crate::model::Limit::Max);
    let kinds = [
        EventKind::Alarm,
        EventKind::Nobody(WhyNobody::Busy),
        EventKind::Tightened { lever, knob, value },
        EventKind::Loosened { lever, knob, value },
        EventKind::Proved(Verdict::Exonerated),
        EventKind::Released,
        EventKind::CannotAct {
            knob,
            why: Absent::ReadOnly,
        },
        EventKind::Drift { knob },
        EventKind::Killed,
        EventKind::CannotKill {
            why: Absent::Denied,
        },
    ];
    for kind in kinds {
        let line = event_line(&event(kind), &topology());
        assert!(
            !line.contains('\n') && !line.contains("original="),
            "{line}"
        );
        let bare = Event {
            evidence: Evidence::default(),
            ..event(kind)
        };
        assert!(!event_line(&bare, &topology()).contains("harm"));
    }
}

#[test]
fn what_the_governor_cannot_do_is_the_loudest() {
    let knob = Knob::CpuMax;
    let cannot = EventKind::CannotAct {
        knob,
        why: Absent::ReadOnly,
    };
    assert_eq!(event_level(cannot), tracing::Level::ERROR);
    assert_eq!(event_level(EventKind::Drift { knob }), tracing::Level::WARN);
    assert_eq!(event_level(EventKind::Killed), tracing::Level::WARN);
    assert_eq!(event_level(EventKind::Released), tracing::Level::INFO);
}

#[test]
fn a_memory_event_tells_growth_and_what_it_was_before() {
    let mut grown = event(EventKind::Proved(Verdict::Confirmed));
    grown.evidence.resource = Some(Resource::Memory);
    grown.evidence.harm_before = 0.5;
    grown.evidence.own = (Span::ZERO, Span::from_millis(3));
    grown.evidence.suspects = vec![
        Contender {
            id: GroupId(2),
            blame: Share::new(0.5),
            usage: f64::from(64 << 20),
            entitlement: 0.0,
        };
        7
    ];
    let line = event_line(&grown, &topology());
    assert!(
        line.contains("verdict=confirmed") && line.contains("before=50.0%"),
        "{line}"
    );
    assert!(
        line.contains("own=0us..3ms") && line.contains("grows=64.0MiB/s"),
        "{line}"
    );
    assert!(line.ends_with(";+2"), "{line}");
}

#[test]
fn the_doctor_shows_findings_in_a_table_and_remedies_in_sentences() {
    let checks = Checks {
        checks: vec![
            Check {
                name: "cgroup",
                finding: Finding::Good,
                seen: "v2 at /sys/fs/cgroup".to_owned(),
                remedy: String::new(),
            },
            Check {
                name: "psi",
                finding: Finding::Unusable,
                seen: "off at boot".to_owned(),
                remedy: "nothing can be measured: boot with psi=1".to_owned(),
            },
        ],
        not_claimed: vec!["last-level cache"],
    };
    assert_eq!(checks.worst(), Finding::Unusable);
    assert_snapshot!(checks_text(&checks, Some(80), Paint::Plain), @r##"
CHECK   FINDING   SEEN
cgroup  good      v2 at /sys/fs/cgroup
psi     UNUSABLE  off at boot

psi: nothing can be measured: boot with psi=1

not claimed on any host:
  last-level cache
"##);
}
