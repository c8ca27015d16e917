//! Which value comes next, and which comes next on the way back?
//!
//! CPU: weight, then (only by policy) idle, then a cap; where no weight reaches, the cap at once. Who runs in real time is
//! [frozen](super::pulses) at once.
//! Memory: `memory.high` in steps, then the swap limit. Tightening multiplies, release adds.
//! Tasks: `pids.max`, once; on the way back it doubles. Devices: `io.max`, in steps of a half.
//! Nothing here goes under the policy's floors or over the original.

use super::pulses;
use super::throttle::Throttle;
use crate::model::{Bytes, CpuMax, Knob, KnobValue, Knobs, Limit, Policy, Rung, Span, Weight};

/// A place on a ladder: a rung and how far down on it.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) enum Place {
    /// `cpu.weight` of the lever.
    Weight(Weight),
    /// `cpu.idle` of the lever.
    Idle,
    /// `cpu.max` of the aggressor, in CPUs.
    Cap(f64),
    /// `cgroup.freeze` of the aggressor, which runs for so long in each period.
    Freeze(Span),
    /// `memory.high` of the aggressor.
    High(Bytes),
    /// `memory.swap.max` of the aggressor.
    Swap(Bytes),
    /// `pids.max` of the aggressor.
    Clamp(u64),
    /// `io.max` of the aggressor.
    Throttle(Throttle),
}

/// What bounds the ladder of one intervention.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bounds {
    /// The lever's originals.
    pub original: Knobs,
    /// No cap under this many CPUs.
    pub cap_floor: f64,
    /// No `memory.high` under this.
    pub high_floor: Bytes,
    /// CPUs of the host.
    pub cpus: u32,
    /// RAM of the host.
    pub ram: Bytes,
    /// Tasks that the host can have.
    pub tasks: u64,
    /// What it took of its device before it was held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took: Option<Throttle>,
}

/// What the first CPU rung is computed from.
#[derive(Clone, Copy, Debug)]
pub(super) struct FirstCpu {
    /// CPUs that the held one shall keep for certain: entitlement times the policy's guarantee.
    pub guaranteed: f64,
    /// CPUs that others below the lever need: they are never taken.
    pub others: f64,
    /// CPUs that the lever and its siblings share.
    pub shared: f64,
    /// Active weight beside the lever.
    pub beside: f64,
    /// The victim's harm: a severe one skips a step.
    pub harm: f64,
}

/// Harm above this part of the time is severe: the first step is twice as deep.
pub(super) const SEVERE: f64 = 0.25;
/// Tightening a cap keeps this part of it, a weight half of it, `memory.high` nine tenths.
const CAP_KEEPS: f64 = 0.7;
const HIGH_KEEPS: f64 = 0.9;
/// `memory.high` goes back by this part of RAM a step.
pub(super) const HIGH_STEP_BACK: f64 = 0.05;
/// Release goes back in this many steps.
pub(super) const STEPS_BACK: f64 = 4.0;

/// The first weight: it guarantees the lever `guaranteed` of the CPUs it shares with its siblings. `None`
/// where the policy allows none that is lower than what stands there.
pub(super) fn first_weight(first: &FirstCpu, bounds: &Bounds, policy: &Policy) -> Option<Place> {
    let original = original_weight(bounds);
    let mut weight = first.weight(first.guaranteed + first.others);
    if first.harm > SEVERE {
        weight /= 2.0;
    }
    let weight = weight.min(f64::from(original.get()) / 2.0);
    let weight = Weight::nearest(weight)
        .max(policy.cpu.weight_floor)
        .max(weight_for(first));
    (weight < original).then_some(Place::Weight(weight))
}

/// The weight that gives the lever what others below it need.
pub(super) fn weight_for(first: &FirstCpu) -> Weight {
    Weight::nearest(first.weight(first.others).ceil())
}

impl FirstCpu {
    /// The part of the shared CPUs that is left to the lever by its first step, at least what others in it
    /// need: between a hundredth and 95 %.
    pub(super) fn kept(&self) -> f64 {
        let shared = self.shared.max(f64::EPSILON);
        let severe = if self.harm > SEVERE { 0.5 } else { 1.0 };
        let first = (self.guaranteed + self.others) * severe;
        (first.max(self.others) / shared).clamp(0.01, 0.95)
    }

    /// The weight with which the lever has so many of the CPUs that it shares.
    fn weight(&self, cpus: f64) -> f64 {
        let part = (cpus / self.shared.max(f64::EPSILON)).clamp(0.0, 0.95);
        self.beside * part / (1.0 - part)
    }
}

/// The first cap: what it is guaranteed, as with the first weight. A cap at all that it is entitled
/// to would leave its neighbours just what they need, and nothing to catch up with what has waited.
/// `None` where its own quota, or the host, leaves it no more than that.
pub(super) fn first_cap(guaranteed: f64, bounds: &Bounds) -> Option<Place> {
    let most = original_cap(bounds).unwrap_or(f64::from(bounds.cpus));
    let cap = guaranteed.max(bounds.cap_floor);
    (cap < most).then_some(Place::Cap(cap))
}

/// The first `memory.high`: what it has, so that growth ends, or where something has to come back (`is_late`) a little less. Deep
/// steps would send gigabytes to swap at once, and starve the victim by that. `None` where it has a limit of its own that is
/// lower: ours would lift it.
pub(super) fn first_high(current: Bytes, is_late: bool, bounds: &Bounds) -> Option<Place> {
    let keeps = if is_late { 0.95 } else { 1.0 };
    let high = page(current.scaled(keeps).max(bounds.high_floor));
    let own = match bounds.original.memory_high {
        Ok(Limit::At(own)) => own,
        _ => Bytes(u64::MAX),
    };
    (high < own).then_some(Place::High(high))
}

/// The clamp: as many again as it has, and at least the policy's floor, which is more than an ordinary
/// program starts; but not more than half of what is left over the reserve (`free`), unless
/// that is under what anybody may have: the floor, or an equal share (`fair`) where that is less. Never less than it has: what
/// runs is not the question, what is started is. `None` where its own limit leaves it no more than that.
pub(super) fn first_clamp(
    has: u64,
    free: f64,
    fair: f64,
    bounds: &Bounds,
    policy: &Policy,
) -> Option<Place> {
    let floor = u64::from(policy.pids.floor);
    let (ample, least) = (floor.max(has.saturating_mul(2)), floor.min(fair as u64));
    let clamp = ample
        .min(has.saturating_add((free / 2.0) as u64))
        .max(least);
    (clamp < original_clamp(bounds)).then_some(Place::Clamp(clamp))
}

/// The next place down; `None` at the end of what the policy allows.
pub(super) fn tighter(
    place: Place,
    guaranteed: f64,
    swapped: Bytes,
    bounds: &Bounds,
    policy: &Policy,
) -> Option<Place> {
    let cap = || first_cap(guaranteed, bounds).filter(|_| policy.cpu.cap);
    match place {
        Place::Weight(_) if policy.cpu.idle && bounds.original.cpu_idle == Ok(false) => {
            Some(Place::Idle)
        }
        Place::Weight(weight) if weight > policy.cpu.weight_floor => Some(Place::Weight(
            Weight::nearest(f64::from(weight.get()) / 2.0 - 0.25).max(policy.cpu.weight_floor),
        )),
        Place::Weight(_) | Place::Idle => cap(),
        Place::Cap(cpus) => (cpus > bounds.cap_floor * 1.01)
            .then(|| Place::Cap((cpus * CAP_KEEPS).max(bounds.cap_floor))),
        Place::Freeze(thawed) => pulses::tighter(thawed),
        Place::High(high) if high.0 > bounds.high_floor.scaled(1.01).0 => Some(Place::High(page(
            high.scaled(HIGH_KEEPS).max(bounds.high_floor),
        ))),
        Place::High(_) => {
            let limited = match bounds.original.memory_swap_max {
                Ok(Limit::Max) => true,
                Ok(Limit::At(limit)) => limit > swapped,
                Err(_) => false,
            };
            (policy.memory.swap && limited).then_some(Place::Swap(page(swapped)))
        }
        Place::Throttle(now) => now.tighter(policy).map(Place::Throttle),
        Place::Swap(_) | Place::Clamp(_) => None,
    }
}

/// The next place on the way back; `None` when the original is reached.
pub(super) fn looser(place: Place, tightest: Place, bounds: &Bounds) -> Option<Place> {
    match (place, tightest) {
        (Place::Weight(weight), Place::Weight(from)) => {
            let original = f64::from(original_weight(bounds).get());
            let step = ((original - f64::from(from.get())) / STEPS_BACK).max(1.0);
            let next = f64::from(weight.get()) + step;
            (next < original).then(|| Place::Weight(Weight::nearest(next)))
        }
        (Place::Cap(cpus), Place::Cap(from)) => {
            let original = original_cap(bounds).unwrap_or(f64::from(bounds.cpus));
            let next = cpus + ((original - from) / (2.0 * STEPS_BACK)).max(0.05);
            (next < original).then_some(Place::Cap(next))
        }
        (Place::Freeze(thawed), _) => pulses::looser(thawed),
        (Place::High(high), _) => {
            let next = Bytes(high.0.saturating_add(bounds.ram.scaled(HIGH_STEP_BACK).0));
            let original = match bounds.original.memory_high {
                Ok(Limit::At(original)) => original,
                _ => bounds.ram,
            };
            (next < original).then_some(Place::High(page(next)))
        }
        (Place::Clamp(tasks), _) => {
            let next = tasks.saturating_mul(2);
            (next < original_clamp(bounds)).then_some(Place::Clamp(next))
        }
        (Place::Throttle(now), Place::Throttle(least)) => {
            now.looser(least, bounds.took?).map(Place::Throttle)
        }
        _ => None,
    }
}

/// Half as much again for one that starves below its entitlement, never over the original.
pub(super) fn raised(place: Place, bounds: &Bounds) -> Option<Place> {
    let Place::Weight(weight) = place else {
        return None;
    };
    let original = original_weight(bounds);
    let next = Weight::nearest((f64::from(weight.get()) * 1.5).ceil()).min(original);
    (next > weight && next < original).then_some(Place::Weight(next))
}

impl Place {
    /// The knob and the value that stand for this place.
    pub(super) fn value(self, bounds: &Bounds, policy: &Policy) -> (Knob, KnobValue) {
        match self {
            Place::Weight(weight) => (Knob::CpuWeight, KnobValue::Weight(weight)),
            Place::Idle => (Knob::CpuIdle, KnobValue::Idle(true)),
            Place::Cap(cpus) => (Knob::CpuMax, KnobValue::CpuMax(quota(cpus, bounds, policy))),
            Place::Freeze(thawed) => (Knob::CgroupFreeze, pulses::value(thawed)),
            Place::High(high) => (Knob::MemoryHigh, KnobValue::Bytes(Limit::At(high))),
            Place::Swap(most) => (Knob::MemorySwapMax, KnobValue::Bytes(Limit::At(most))),
            Place::Clamp(tasks) => (Knob::PidsMax, KnobValue::Tasks(Limit::At(tasks))),
            Place::Throttle(throttle) => {
                let device = throttle.device;
                let value = KnobValue::IoMax(device, throttle.within(&bounds.original));
                (Knob::IoMax(device), value)
            }
        }
    }

    /// Whether both are moved by the same knobs: limits of two devices are not.
    pub(super) fn shares_knobs(self, other: Place) -> bool {
        match (self, other) {
            (Place::Throttle(a), Place::Throttle(b)) => a.device == b.device,
            _ => true,
        }
    }

    /// Whether it is tried back some time, whatever the held one wants: it takes away what nobody else uses.
    pub(super) const fn is_tried_back(self) -> bool {
        matches!(self, Place::Cap(_) | Place::Freeze(_) | Place::Throttle(_))
    }

    /// The rung it is on.
    pub(super) const fn rung(self) -> Rung {
        match self {
            Place::Weight(_) => Rung::Weight,
            Place::Idle => Rung::Idle,
            Place::Cap(_) => Rung::Cap,
            Place::Freeze(_) => Rung::Freeze,
            Place::High(_) => Rung::High,
            Place::Swap(_) => Rung::Swap,
            Place::Clamp(_) => Rung::Clamp,
            Place::Throttle(_) => Rung::Throttle,
        }
    }
}

/// The kernel takes quotas of at least 1 ms. A period that the original limits by is kept.
fn quota(cpus: f64, bounds: &Bounds, policy: &Policy) -> CpuMax {
    let least = Span::from_millis(1);
    let mut period = match bounds.original.cpu_max {
        Ok(CpuMax {
            quota: Limit::At(_),
            period,
        }) => period,
        _ => policy.cpu.cap_period,
    };
    if cpus * (period.0 as f64) < least.0 as f64 {
        period = Span((least.0 as f64 / cpus.max(0.001)).ceil() as u64).min(Span::from_secs(1));
    }
    CpuMax {
        quota: Limit::At(period.scaled(cpus).max(least)),
        period,
    }
}

pub(super) fn original_weight(bounds: &Bounds) -> Weight {
    bounds.original.cpu_weight.unwrap_or(Weight::DEFAULT)
}

/// The original limit of tasks; without one, all that the host can have.
pub(super) fn original_clamp(bounds: &Bounds) -> u64 {
    match bounds.original.pids_max {
        Ok(Limit::At(tasks)) => tasks,
        _ => bounds.tasks,
    }
}

/// The original cap in CPUs, if there is one.
fn original_cap(bounds: &Bounds) -> Option<f64> {
    quota_of(&bounds.original)
}

/// The cap that one has, in CPUs, if there is one.
pub(super) fn quota_of(own: &Knobs) -> Option<f64> {
    match own.cpu_max {
        Ok(CpuMax {
            quota: Limit::At(quota),
            period,
        }) => Some(quota.over(period)),
        _ => None,
    }
}

/// The kernel keeps whole pages; we ask for what will be read back.
pub(super) const fn page(bytes: Bytes) -> Bytes {
    Bytes(bytes.0 & !0xFFFF)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Absent;
    use proptest::prelude::*;

    fn bounds(weight: u32) -> Bounds {
        Bounds {
            original: Knobs {
                cgroup_freeze: Ok(false),
                cpu_weight: Weight::new(weight).ok_or(Absent::Malformed),
                cpu_idle: Ok(false),
                cpu_max: Ok(CpuMax {
                    quota: Limit::Max,
                    period: Span::from_millis(100),
                }),
                cpu_max_burst: Ok(Span::ZERO),
                memory_high: Ok(Limit::Max),
                memory_max: Ok(Limit::Max),
                memory_swap_max: Ok(Limit::Max),
                pids_max: Ok(Limit::Max),
                io_max: Ok(crate::model::PerDevice::NONE),
            },
            cap_floor: 0.05,
            high_floor: Bytes::from_mib(64),
            cpus: 1,
            ram: Bytes::from_mib(2_048),
            tasks: 30_000,
            took: None,
        }
    }

    const HEAVY: FirstCpu = FirstCpu {
        guaranteed: 0.08,
        others: 0.0,
        shared: 1.0,
        beside: 100.0,
        harm: 0.2,
    };

    #[test]
    fn the_first_weight_guarantees_just_the_asked_part() {
        let place = first_weight(&HEAVY, &bounds(100), &Policy::default());
        assert_eq!(place, Some(Place::Weight(Weight::new(9).unwrap())));
    }

    #[test]
    fn severe_harm_starts_twice_as_deep() {
        let first = FirstCpu { harm: 0.5, ..HEAVY };
        let place = first_weight(&first, &bounds(100), &Policy::default());
        assert_eq!(place, Some(Place::Weight(Weight::new(4).unwrap())));
    }

    #[test]
    fn what_would_not_lower_what_stands_there_is_no_first_step() {
        let mut policy = Policy::default();
        policy.cpu.weight_floor = Weight::new(50).unwrap();
        assert_eq!(first_weight(&HEAVY, &bounds(30), &policy), None);
        assert_eq!(first_weight(&HEAVY, &bounds(1), &Policy::default()), None);
        let mut limited = bounds(100);
        limited.original.cpu_max = Ok(CpuMax {
            quota: Limit::At(Span(30_000)),
            period: Span(100_000),
        });
        assert_eq!(first_cap(0.4, &limited), None);
        assert_eq!(first_cap(0.2, &limited), Some(Place::Cap(0.2)));
    }

    #[test]
    fn a_quota_keeps_the_period_of_the_original() {
        let mut odd = bounds(100);
        odd.original.cpu_max = Ok(CpuMax {
            quota: Limit::At(Span(90_000)),
            period: Span(70_000),
        });
        let (_, value) = Place::Cap(0.5).value(&odd, &Policy::default());
        let expected = CpuMax {
            quota: Limit::At(Span(35_000)),
            period: Span(70_000),
        };
        assert_eq!(value, KnobValue::CpuMax(expected));
    }

    #[test]
    fn a_small_quota_lengthens_the_period_because_the_kernel_wants_a_millisecond() {
        let (_, value) = Place::Cap(0.05).value(&bounds(100), &Policy::default());
        let expected = CpuMax {
            quota: Limit::At(Span(1_000)),
            period: Span(20_000),
        };
        assert_eq!(value, KnobValue::CpuMax(expected));
    }

    #[test]
    fn a_limit_of_its_own_that_is_lower_than_the_floor_is_not_lifted() {
        let mut limited = bounds(100);
        let mib = Bytes::from_mib;
        limited.original.memory_high = Ok(Limit::At(mib(200)));
        limited.high_floor = mib(600);
        assert_eq!(first_high(mib(195), true, &limited), None);
        limited.high_floor = mib(64);
        assert_eq!(
            first_high(mib(100), true, &limited),
            Some(Place::High(page(mib(95))))
        );
    }

    #[test]
    fn a_clamp_leaves_as_many_again_but_never_more_than_half_of_what_is_left() {
        let clamp = |has, free| first_clamp(has, free, 250.0, &bounds(100), &Policy::default());
        let at = |tasks| Some(Place::Clamp(tasks));
        assert_eq!(clamp(300, 20_000.0), at(1_024), "the floor");
        assert_eq!(clamp(3_000, 20_000.0), at(6_000));
        assert_eq!(clamp(300, 100.0), at(350));
        assert_eq!(clamp(300, 0.0), at(300));
        assert_eq!(clamp(100, 0.0), at(250), "its share");
        assert_eq!(clamp(20_000, 80_000.0), None, "more than the host can have");
        let mut limited = bounds(100);
        limited.original.pids_max = Ok(Limit::At(1_000));
        assert_eq!(
            first_clamp(300, 20_000.0, 250.0, &limited, &Policy::default()),
            None
        );
    }

    #[test]
    fn idle_comes_only_by_policy() {
        let weight = Place::Weight(Weight::new(9).unwrap());
        let mut policy = Policy::default();
        let next = |policy: &Policy| tighter(weight, 0.2, Bytes(0), &bounds(100), policy);
        assert_eq!(next(&policy), Some(Place::Weight(Weight::new(4).unwrap())));
        policy.cpu.idle = true;
        assert_eq!(next(&policy), Some(Place::Idle));
    }

    proptest! {
        #[test]
        fn no_way_down_leads_under_a_floor_nor_over_the_original(
            weight in 1_u32..=10_000, floor in 1_u32..200, guaranteed in 0.0_f64..4.0,
            beside in 0.0_f64..100_000.0, harm in 0.0_f64..1.0,
            current in 0_u64..(1 << 40), idle: bool,
        ) {
            let mut policy = Policy::default();
            policy.cpu.weight_floor = Weight::new(floor).unwrap();
            policy.cpu.idle = idle;
            let bounds = bounds(weight);
            let first = FirstCpu { guaranteed, others: 0.0, shared: 1.0, beside, harm };
            for start in [
                first_weight(&first, &bounds, &policy),
                first_cap(guaranteed, &bounds),
                first_high(Bytes(current), true, &bounds),
                first_clamp(current >> 25, 10_000.0, 250.0, &bounds, &policy),
            ] {
                let mut place = start;
                let mut steps = 0;
                while let Some(at) = place {
                    match at {
                        Place::Weight(w) => {
                            prop_assert!(w >= policy.cpu.weight_floor);
                            prop_assert!(w.get() < weight);
                        }
                        Place::Cap(cpus) => prop_assert!(cpus >= bounds.cap_floor && cpus <= 1.0),
                        Place::High(high) => prop_assert!(high >= bounds.high_floor),
                        Place::Clamp(tasks) => prop_assert!(tasks < 30_000),
                        Place::Freeze(thawed) => prop_assert!(thawed > Span::ZERO),
                        Place::Throttle(_) | Place::Idle | Place::Swap(_) => {}
                    }
                    steps += 1;
                    prop_assert!(steps < 400, "the ladder has an end");
                    place = tighter(at, guaranteed, Bytes(0), &bounds, &policy);
                }
            }
        }

        #[test]
        fn every_way_back_ends_at_the_original_and_never_goes_over_it(
            weight in 2_u32..=10_000, from in 1_u32..10_000, cap in 0.05_f64..1.0,
            high in (64_u64 << 20)..(2_u64 << 30), tasks in 1_u64..40_000,
        ) {
            let bounds = bounds(weight);
            let from = Weight::new(from.min(weight)).unwrap();
            for start in [
                Place::Weight(from), Place::Cap(cap), Place::High(Bytes(high)), Place::Idle,
                Place::Clamp(tasks),
            ] {
                let mut place = Some(start);
                let mut steps = 0;
                while let Some(at) = place {
                    if let Place::Weight(w) = at { prop_assert!(w.get() <= weight); }
                    if let Place::Clamp(now) = at { prop_assert!(now == tasks || now < 30_000); }
                    steps += 1;
                    prop_assert!(steps < 50);
                    place = looser(at, start, &bounds);
                }
            }
        }
    }
}
