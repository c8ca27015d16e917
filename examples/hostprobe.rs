#![allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::disallowed_methods,
    clippy::print_stdout
)]
use governor::host::*;
use governor::model::*;
use std::fs;
fn main() {
    let survey = Survey::take();
    println!("survey {survey:?}");
    println!(
        "own {:?}",
        own_group().map(|p| String::from_utf8_lossy(&p).into_owned())
    );
    println!(
        "nofile {:?} lock {:?} oom {:?} rt {:?}",
        raise_file_limit(),
        lock_memory(),
        be_spared_by_oom(),
        run_in_real_time()
    );
    let tree = open_tree(&survey, None, Mode::Enforce).unwrap();
    let rings = RingsAt::new(survey.trigger, Share::new(0.025)).unwrap();
    println!("rings {rings:?}");
    let mut waiter = Waiter::new(&tree, rings, 512).unwrap();
    let mut forest = Forest::new(tree, Limits::default());
    let clock = HostClock;
    let interval = psi_interval(survey.hz);
    let mut sampler = Sampler::new(forest.files_mut(), interval);
    let globs = |p: &[u8]| p.starts_with(b"/probe/c");
    let rules = || Rules {
        original: &|_, _| None,
        name: &|_, _| None,
        is_protected: &|g| g.path.starts_with(b"/system.slice/ssh"),
        own: None,
    };
    let t0 = clock.now();
    let c0 = clock.thread_cpu();
    let s = forest.scan(Extent::All, &globs).unwrap();
    println!(
        "first scan {s:?} {} cpu {}",
        clock.now().since(t0),
        clock.thread_cpu().advance(c0)
    );
    let t = forest.topology(&rules());
    println!("{} groups", t.groups.len());
    for g in t.groups.iter().filter(|g| g.member != Member::Service) {
        println!(
            "  {} {:?} {:?}",
            String::from_utf8_lossy(&g.path),
            g.member,
            g.knobs.cpu_weight
        );
    }
    for e in [Extent::All, Extent::Changed] {
        let t0 = clock.now();
        let c0 = clock.thread_cpu();
        forest.scan(e, &globs).unwrap();
        println!(
            "rescan {e:?} {} cpu {}",
            clock.now().since(t0),
            clock.thread_cpu().advance(c0)
        );
    }
    // event
    let root = survey.root.clone().unwrap().point;
    waiter.watch_tree();
    println!(
        "wait idle {:?}",
        waiter.wait(clock.now() + Span::from_millis(50))
    );
    fs::create_dir_all(root.join("probe/c1/inner")).unwrap();
    fs::create_dir_all(root.join("probe/c2")).unwrap();
    fs::write(root.join("cgroup.subtree_control"), "+cpu +memory +pids").unwrap();
    fs::write(
        root.join("probe/cgroup.subtree_control"),
        "+cpu +memory +pids",
    )
    .unwrap();
    println!(
        "wait mkdir {:?}",
        waiter.wait(clock.now() + Span::from_millis(50))
    );
    waiter.watch_tree();
    println!("scan {:?}", forest.scan(Extent::Changed, &globs));
    let t = forest.topology(&rules());
    for (_, g) in t.watched() {
        println!(
            "  watched {} {:?} {:?}",
            String::from_utf8_lossy(&g.path),
            g.member,
            g.knobs
        );
    }
    sampler.hold(&mut forest, &t);
    println!("armed {:?}", waiter.keep_doorbells(&mut forest, &t));
    // many containers for cost
    for n in 0..300 {
        fs::create_dir_all(root.join(format!("probe/cx{n}"))).unwrap();
    }
    let t0 = clock.now();
    let c0 = clock.thread_cpu();
    let mut n = 1;
    while forest.scan(Extent::Changed, &globs).unwrap().unfinished {
        n += 1;
    }
    println!(
        "300 new: {n} scans {} cpu {}",
        clock.now().since(t0),
        clock.thread_cpu().advance(c0)
    );
    let t = forest.topology(&rules());
    let c0 = clock.thread_cpu();
    sampler.hold(&mut forest, &t);
    println!(
        "hold cpu {} count {}",
        clock.thread_cpu().advance(c0),
        sampler.count()
    );
    let ids: Vec<GroupId> = t.watched().map(|(_, g)| g.id).collect();
    let mut out = Sample::default();
    for _ in 0..20 {
        sampler.sample(&mut forest, &clock, &ids, &mut out);
        waiter.wait(clock.now() + interval);
    }
    println!("cost {:?} host {:?}", sampler.cost(), out.host);
    println!("one {:?}", out.containers.last());
    let c0 = clock.thread_cpu();
    for _ in 0..100 {
        sampler.sample(&mut forest, &clock, &[], &mut out);
    }
    println!("host cost {}", Span(clock.thread_cpu().advance(c0).0 / 100));
    let c0 = clock.thread_cpu();
    forest.refresh(100);
    println!("refresh 100 cpu {}", clock.thread_cpu().advance(c0));
    // doorbell: stall in c1 with two spinners on one group
    let mut kids = vec![];
    let t0 = clock.now();
    for _ in 0..6 {
        let k = std::process::Command::new("sh")
            .arg("-c")
            .arg("while :; do :; done")
            .spawn()
            .unwrap();
        fs::write(root.join("probe/c1/inner/cgroup.procs"), k.id().to_string()).unwrap();
        kids.push(k);
    }
    let w = waiter.wait(clock.now() + Span::from_secs(5));
    println!(
        "bell {w:?} {:?} after {}",
        waiter.rung(),
        clock.now().since(t0)
    );
    // quota inside: throttled
    fs::write(root.join("probe/c1/cgroup.subtree_control"), "+cpu").unwrap();
    fs::write(root.join("probe/c1/inner/cpu.max"), "10000 100000").unwrap();
    sampler.review(&mut forest, &t, t.groups.len());
    let c1 = *ids.first().unwrap();
    let c1 = t
        .watched()
        .find(|(_, g)| g.path == b"/probe/c1")
        .map_or(c1, |(_, g)| g.id);
    for _ in 0..3 {
        waiter.wait(clock.now() + Span::from_millis(300));
        sampler.sample(&mut forest, &clock, &[c1], &mut out);
        println!("c1 {:?}", out.containers);
    }
    // gone
    let mut late: Vec<u64> = (0..200)
        .map(|_| {
            let u = clock.now() + interval;
            while !waiter.wait(u).timed_out {}
            clock.now().since(u).0
        })
        .collect();
    late.sort();
    println!(
        "lateness under spinners p50 {} p99 {} max {}",
        late[100], late[198], late[199]
    );
    for mut k in kids {
        let _ = k.kill();
        let _ = k.wait();
    }
    waiter.wait(clock.now() + Span::from_millis(100));
    while waiter.wait(clock.now() + Span::from_millis(300)).doorbell {}
    println!(
        "rm {:?} {:?}",
        fs::remove_dir(root.join("probe/c1/inner")),
        fs::remove_dir(root.join("probe/c1"))
    );
    waiter.watch_tree();
    for _ in 0..3 {
        println!(
            "wait rmdir {:?} rung {:?}",
            waiter.wait(clock.now() + Span::from_millis(100)),
            waiter.rung()
        );
    }
    sampler.sample(&mut forest, &clock, &[c1], &mut out);
    println!("gone {:?}", out.containers);
    println!(
        "knob gone {:?} {:?}",
        forest.read_knob(c1, Knob::CpuMax),
        forest.write_knob(c1, Knob::CpuMax, b"max 100000")
    );
    let again = fs::create_dir(root.join("probe/c1"));
    println!(
        "{again:?} knob of the old {:?}",
        forest.read_knob(c1, Knob::CpuMax)
    );
    println!("scan {:?}", forest.scan(Extent::Changed, &globs));
    println!("after {:?}", forest.read_knob(c1, Knob::CpuMax));
    let t = forest.topology(&rules());
    println!("armed {:?}", waiter.keep_doorbells(&mut forest, &t));
}
