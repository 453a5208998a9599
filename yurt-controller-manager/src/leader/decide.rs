//! Who leads, by what was seen of the Lease (pure).

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use tokio::time::Instant;

/// What a Lease says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; empty: nobody.
    pub holder: String,
    /// For how many seconds without a change it is held.
    pub seconds: i32,
    /// How often it has changed hands.
    pub transitions: i32,
}

impl Record {
    /// Held by `holder`.
    pub fn new(holder: &str, lease: Duration, transitions: i32) -> Self {
        Self {
            holder: holder.to_owned(),
            seconds: lease.as_secs().try_into().unwrap_or(i32::MAX),
            transitions,
        }
    }
}

/// A Lease as it was seen last.
#[derive(Debug, Clone)]
pub struct Observation {
    /// What it says.
    pub record: Record,
    /// Its version.
    pub version: String,
    /// Since when its holder has it.
    pub acquired: Option<MicroTime>,
    /// When that version was seen first, by our own clock.
    pub since: Instant,
}

impl Observation {
    /// Of a Lease that is seen `now`, after `before`.
    pub fn of(lease: &Lease, before: Option<Self>, now: Instant) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        let since = match before {
            Some(before) if before.version == version => before.since,
            _ => now,
        };
        Self {
            record: Record {
                holder: spec.holder_identity.unwrap_or_default(),
                seconds: spec.lease_duration_seconds.unwrap_or_default(),
                transitions: spec.lease_transitions.unwrap_or_default(),
            },
            acquired: spec.acquire_time,
            version,
            since,
        }
    }
}

/// What a replica does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is no Lease.
    Create,
    /// It is free.
    Take {
        /// How often it has changed hands then.
        transitions: i32,
    },
    /// It is ours.
    Renew,
    /// It is another one's.
    Wait,
}

/// What `name` does about the Lease that was `seen`.
pub fn decide(seen: Option<&Observation>, name: &str, now: Instant) -> Step {
    let Some(seen) = seen else {
        return Step::Create;
    };
    let held = Duration::from_secs(seen.record.seconds.try_into().unwrap_or_default());
    if seen.record.holder == name {
        Step::Renew
    } else if seen.record.holder.is_empty() || now - seen.since >= held {
        Step::Take {
            transitions: seen.record.transitions.saturating_add(1),
        }
    } else {
        Step::Wait
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::coordination::v1::LeaseSpec;

    use super::*;

    fn lease(holder: &str, version: &str) -> Lease {
        let mut lease = Lease {
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.to_owned()),
                lease_duration_seconds: Some(10),
                lease_transitions: Some(3),
                ..LeaseSpec::default()
            }),
            ..Lease::default()
        };
        lease.metadata.resource_version = Some(version.to_owned());
        lease
    }

    #[test]
    fn a_lease_is_held_for_as_long_as_it_changes_by_our_own_clock() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let first = Observation::of(&lease("a", "1"), None, start);
        let same = Observation::of(&lease("a", "1"), Some(first.clone()), after(9));
        assert_eq!(decide(Some(&same), "b", after(9)), Step::Wait);
        assert_eq!(decide(Some(&same), "b", after(10)), Step::Take { transitions: 4 });
        let renewed = Observation::of(&lease("a", "2"), Some(same), after(9));
        assert_eq!(decide(Some(&renewed), "b", after(18)), Step::Wait);
        assert_eq!(decide(Some(&renewed), "a", after(60)), Step::Renew);
    }

    #[test]
    fn a_lease_that_was_given_up_or_never_made_is_free() {
        let now = Instant::now();
        assert_eq!(decide(None, "b", now), Step::Create);
        let free = Observation::of(&lease("", "1"), None, now);
        assert_eq!(decide(Some(&free), "b", now), Step::Take { transitions: 4 });
    }
}
