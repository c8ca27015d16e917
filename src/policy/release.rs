//! What would end what is held, and when? The conditions of [`judge`](super::judge) as they stand now,
//! each with what is left of it. Nothing is decided here.

use super::brain::{Brain, SPARE};
use super::intervention::{Intervention, Proof};
use super::ladder::Place;
use super::seen::Seen;
use super::track::Track;
use super::window::Over;
use crate::model::{ReleaseView, Resource, Span, Wait};

/// No way back has more steps.
const STEPS_MAX: u32 = 100;

impl Brain {
    /// What the next step back of this one waits for.
    pub(super) fn release_view(&self, held: &Intervention, seen: &Seen) -> ReleaseView {
        let now = self.now;
        let policy = &self.policy.release;
        let mut waits = Waits::default();
        if let Proof::Releasing(due) = held.proof {
            waits.time(due.since(now), |left_s| Wait::Step { left_s });
            if held.is_full(seen) {
                waits.all.push(Wait::Room);
            }
        } else {
            if let Proof::Proving(ends) = held.proof {
                waits.time(ends.since(now), |left_s| Wait::Proof { left_s });
            }
            let of_s = held.hold.as_secs_f64();
            let left = held.hold.advance(now.since(held.since));
            waits.time(left, |left_s| Wait::Hold { left_s, of_s });
            if !seen.rested && !held.is_owed() {
                let of_s = policy.quiet.as_secs_f64();
                let left = policy.quiet.advance(seen.calm_for);
                waits.time(left, |left_s| Wait::Quiet { left_s, of_s });
                let target = held.target(seen.tolerance, &self.policy);
                if seen.harm > target {
                    let harm = seen.harm;
                    waits.all.push(Wait::Harm { harm, target });
                }
            }
            if seen.wants || self.will_want(held) {
                waits.all.push(self.demand(held));
            }
        }
        ReleaseView {
            waits: waits.all,
            earliest_s: waits.longest.as_secs_f64(),
            steps: way_back(held, seen),
            step_s: policy.step.as_secs_f64(),
            lease_s: (held.renewed + policy.lease).since(now).as_secs_f64(),
        }
    }

    /// Whether the one that is held will be found to want CPU as soon as it has done so for long enough:
    /// in the first two seconds of an attack the host still looks as if it had CPU to spare.
    fn will_want(&self, held: &Intervention) -> bool {
        let waits = |track: &Track| track.cpu_psi.rate(Over::Half) > 0.05;
        matches!(held.place, Place::Weight(_) | Place::Idle)
            && self.spare(Over::Half) < SPARE
            && self.track(held.aggressor).is_some_and(waits)
    }

    /// What it means that the one that is held still wants what is kept from it.
    fn demand(&self, held: &Intervention) -> Wait {
        if held.resource != Resource::Cpu {
            return Wait::Room;
        }
        let after = held.tried_after(&self.policy);
        let left = after.advance(self.now.since(held.changed));
        Wait::Demand {
            trial_s: held.is_tried_back().then(|| left.as_secs_f64()),
        }
    }
}

/// What is waited for, and how long at least.
#[derive(Default)]
struct Waits {
    all: Vec<Wait>,
    longest: Span,
}

impl Waits {
    /// For something that only needs time; not where none is left.
    fn time(&mut self, left: Span, wait: impl FnOnce(f64) -> Wait) {
        self.longest = self.longest.max(left);
        if left > Span::ZERO {
            self.all.push(wait(left.as_secs_f64()));
        }
    }
}

/// Steps from where it stands to the original.
fn way_back(held: &Intervention, seen: &Seen) -> u32 {
    let mut place = match held.proof {
        Proof::Releasing(_) => seen.looser,
        _ => held.first_back(seen),
    };
    let mut steps = 1;
    while let Some(at) = place.filter(|_| steps < STEPS_MAX) {
        steps += 1;
        place = held.looser(at);
    }
    steps
}
