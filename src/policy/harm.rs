//! How much of a stall was done to a container by others?
//!
//! Harm is stall time minus what the container did to itself. For CPU that is its own quota
//! (`throttled_usec` sums over CPUs while PSI cannot exceed wall time, so the sum is divided by the
//! CPUs that can have been throttled), and its own parallelism: one that gets what it is entitled
//! to is no victim. For memory it is its own limit.

use crate::model::Span;

/// What is needed to tell a CPU stall apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct CpuStall {
    /// Wall time between the two readings.
    pub over: Span,
    /// PSI `some` time in it.
    pub stalled: Span,
    /// Throttled time in it, summed over CPUs.
    pub throttled: Span,
    /// Tasks in the container, if known: a single task cannot be throttled on two CPUs.
    pub tasks: Option<u64>,
    /// CPUs online.
    pub cpus: u32,
    /// What it uses, in CPUs, over about 100 ms.
    pub usage: f64,
    /// What it may use while others want more, in CPUs.
    pub entitlement: f64,
}

/// Harm, with both bounds of what was taken out as the container's own doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Harm {
    /// Stall that others did.
    pub amount: Span,
    /// Own doing: at least this.
    pub own_least: Span,
    /// Own doing: at most this.
    pub own_most: Span,
}

/// One that gets this part of its entitlement is no victim of CPU: the rest is measuring noise.
pub(super) const SATISFIED: f64 = 0.97;

/// Harm in a CPU stall.
pub(super) fn cpu(stall: &CpuStall) -> Harm {
    let stalled = Span(stall.stalled.0.min(stall.over.0));
    let mut harm = Harm {
        amount: stalled,
        ..Harm::default()
    };
    if stall.throttled > Span::ZERO {
        let cpus = u64::from(stall.cpus.max(1));
        let could = stall.tasks.map_or(cpus, |tasks| tasks.clamp(1, cpus));
        harm.own_least = Span((stall.throttled.0 / cpus).min(stalled.0));
        harm.own_most = Span((stall.throttled.0 / could).min(stalled.0));
        harm.amount = Span(stalled.0 - harm.own_most.0);
    }
    if stall.usage >= stall.entitlement * SATISFIED {
        harm.own_most = stalled;
        harm.amount = Span::ZERO;
    }
    harm
}

/// Harm in a memory stall: none where it lacks nothing, neither the host nor this one what it had (page-cache refaults raise
/// PSI with free RAM), none where the container stands at its own limit.
pub(super) fn memory(over: Span, stalled: Span, lacks: bool, at_own_limit: bool) -> Harm {
    let stalled = Span(stalled.0.min(over.0));
    if at_own_limit {
        return Harm {
            amount: Span::ZERO,
            own_least: stalled,
            own_most: stalled,
        };
    }
    Harm {
        amount: if lacks { stalled } else { Span::ZERO },
        ..Harm::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: CpuStall = CpuStall {
        over: Span::from_millis(100),
        stalled: Span::from_millis(50),
        throttled: Span::ZERO,
        tasks: None,
        cpus: 4,
        usage: 0.2,
        entitlement: 1.0,
    };

    #[test]
    fn without_throttling_nothing_is_taken_out() {
        assert_eq!(cpu(&STALL).amount, Span::from_millis(50));
    }

    #[test]
    fn a_single_task_in_its_own_quota_is_no_victim_however_many_cpus_the_host_has() {
        let own = CpuStall {
            throttled: Span::from_millis(50),
            tasks: Some(1),
            ..STALL
        };
        let harm = cpu(&own);
        assert_eq!(harm.amount, Span::ZERO);
        assert_eq!(harm.own_least, Span(12_500));
    }

    #[test]
    fn a_victim_with_a_quota_keeps_the_harm_that_its_quota_cannot_explain() {
        let both = CpuStall {
            throttled: Span::from_millis(40),
            tasks: Some(64),
            ..STALL
        };
        assert_eq!(cpu(&both).amount, Span::from_millis(40));
    }

    #[test]
    fn one_that_gets_its_entitlement_is_no_victim() {
        let busy = CpuStall {
            usage: 0.99,
            ..STALL
        };
        assert_eq!(cpu(&busy).amount, Span::ZERO);
    }

    #[test]
    fn harm_never_exceeds_the_wall_time() {
        let odd = CpuStall {
            stalled: Span::from_secs(9),
            ..STALL
        };
        assert_eq!(cpu(&odd).amount, STALL.over);
        assert_eq!(
            memory(STALL.over, Span::from_secs(9), true, false).amount,
            STALL.over
        );
    }

    #[test]
    fn memory_stall_with_free_memory_or_at_the_own_limit_is_no_harm() {
        let stalled = Span::from_millis(30);
        assert_eq!(memory(STALL.over, stalled, false, false).amount, Span::ZERO);
        assert_eq!(memory(STALL.over, stalled, true, true).amount, Span::ZERO);
        assert_eq!(memory(STALL.over, stalled, true, false).amount, stalled);
    }
}
