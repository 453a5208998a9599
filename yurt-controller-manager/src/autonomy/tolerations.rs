//! What the tolerations of a pod become on a node that asks for autonomy, and how they become again what they were (pure).
//!
//! Kubernetes evicts by two taints, `not-ready` and `unreachable`. Of each toleration that decides about one of them only
//! the seconds are changed: of a pod on a node nothing else may be (`ValidatePodUpdate` in Kubernetes'
//! `pkg/apis/core/validation`), but for added tolerations. What they were is kept in annotations with OpenYurt's names.
//!
//! Invariant: a pod is never evicted sooner than it would be without us.

use serde::{Deserialize, Serialize};

use super::wish::{Span, Wish};

/// The taints by which Kubernetes evicts, each with the annotation that keeps what was tolerated before us, in seconds.
pub const TAINTS: [(&str, &str); 2] = [
    (
        "node.kubernetes.io/not-ready",
        "apps.openyurt.io/original-not-ready-toleration-duration",
    ),
    (
        "node.kubernetes.io/unreachable",
        "apps.openyurt.io/original-unreachable-toleration-duration",
    ),
];
/// The annotation that says for what the tolerations were set: `for-ever`, or seconds.
pub const SET_FOR: &str = "yurt.openyurt.io/tolerates-for";
const FOR_EVER: &str = "for-ever";
/// What the apiserver gives to pods that say nothing (`DefaultTolerationSeconds`).
const DEFAULT_SECONDS: i64 = 300;
/// The effect of the taints that evict.
pub const NO_EXECUTE: &str = "NoExecute";

/// A toleration, with fields that a later Kubernetes may have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Toleration {
    /// The taint's key; none: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Box<str>>,
    /// `Exists`, or `Equal` (the default).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<Box<str>>,
    /// The taint's value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Box<str>>,
    /// The taint's effect; none: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<Box<str>>,
    /// For how long; none: for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub toleration_seconds: Option<i64>,
    /// What else it has.
    #[serde(flatten)]
    pub rest: serde_json::Map<String, serde_json::Value>,
}

/// What we have written on a pod before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// What was tolerated, in the order of [`TAINTS`].
    pub originals: [Option<Box<str>>; 2],
    /// For what the tolerations were set.
    pub set_for: Option<Box<str>>,
}

impl Held {
    /// Whether we have written anything.
    pub fn is_any(&self) -> bool {
        self.set_for.is_some() || self.originals.iter().any(Option::is_some)
    }
}

/// What a pod gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outfit {
    /// All of its tolerations, in order.
    pub tolerations: Vec<Toleration>,
    /// What is written on it.
    pub held: Held,
}

/// What is to be done to a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is as it shall be.
    Nothing,
    /// This is written.
    Set(Outfit),
    /// Its eviction is under way, and the one who evicts does not look at seconds again that he has begun to count
    /// (`processPodOnNode` in Kubernetes' `pkg/controller/tainteviction`), unless he was told in between that there is no
    /// end to them.
    Restart {
        /// This is written first: no end.
        first: Outfit,
        /// And this when that was seen.
        then: Outfit,
    },
}

/// What is to be done to a pod with `tolerations`, on which we have written `held` before, on a node that wishes `wish` and
/// has had each of [`TAINTS`] for that many seconds, where it has it.
pub fn decide(tolerations: &[Toleration], held: &Held, wish: &Wish, tainted: [Option<u64>; 2]) -> Change {
    let goal = match wish {
        Wish::Unclear { .. } => return Change::Nothing,
        Wish::Nothing if !held.is_any() => return Change::Nothing,
        Wish::Nothing => None,
        Wish::Stay(span, _) => Some(*span),
        Wish::Vouched(..) => Some(Span::ForEver),
    };
    let set_for = goal.map(written);
    let counted = goal.is_some() && held.set_for == set_for;
    let mut outfit = Outfit {
        tolerations: tolerations.to_vec(),
        held: held.clone(),
    };
    let mut restart = false;
    for (number, (key, _)) in TAINTS.into_iter().enumerate() {
        let deciding = deciding(&outfit.tolerations, key);
        let original = match (&held.originals[number], &deciding) {
            (Some(text), _) => read(text),
            (None, Deciding::ForEver) => continue,
            (None, Deciding::This(_, seconds) | Deciding::Broader(seconds)) => *seconds,
            (None, Deciding::Nobody) => 0,
        };
        let over = tainted[number].unwrap_or_default();
        let wanted = match goal {
            None => Some(original),
            Some(Span::ForEver) => None,
            Some(Span::Seconds(seconds)) => Some(original.max(seconds.try_into().unwrap_or(i64::MAX))),
        };
        let seconds = match (goal, wanted) {
            // Some of the time is over already; what is left is not less than what the pod would have without us.
            (Some(_), Some(wanted)) => {
                let left = wanted.saturating_sub(over.try_into().unwrap_or(i64::MAX));
                Some(left.max(original))
            }
            _ => wanted,
        };
        let now = match deciding {
            Deciding::This(_, seconds) | Deciding::Broader(seconds) => Some(seconds),
            Deciding::ForEver => None,
            Deciding::Nobody => Some(0),
        };
        // What counts down was set once, and is left to count.
        let counting = tainted[number].is_some() && now.is_some();
        if !(counted && counting) && now != seconds {
            restart |= counting && seconds.is_some();
            set(&mut outfit.tolerations, key, seconds);
        }
        outfit.held.originals[number] = goal.map(|_| original.to_string().into());
    }
    if goal.is_some() && outfit.held.originals == [None, None] {
        // It tolerates both for ever by itself.
        return Change::Nothing;
    }
    outfit.held.set_for = set_for;
    if outfit.tolerations == tolerations && outfit.held == *held {
        Change::Nothing
    } else if restart {
        Change::Restart {
            first: endless(&outfit),
            then: outfit,
        }
    } else {
        Change::Set(outfit)
    }
}

/// For how many seconds a pod tolerates by itself that its node is silent; `None`: for ever.
pub fn of_silence(tolerations: &[Toleration], held: &Held) -> Option<i64> {
    if let Some(text) = &held.originals[1] {
        return Some(read(text));
    }
    match deciding(tolerations, TAINTS[1].0) {
        Deciding::ForEver => None,
        Deciding::Nobody => Some(0),
        Deciding::This(_, seconds) | Deciding::Broader(seconds) => Some(seconds),
    }
}

/// The same without an end, and as if it had been asked for like that: whoever finds this finds a pod that nobody evicts.
fn endless(outfit: &Outfit) -> Outfit {
    let mut endless = outfit.clone();
    for (number, (key, _)) in TAINTS.into_iter().enumerate() {
        if let Deciding::This(_, seconds) = deciding(&outfit.tolerations, key) {
            endless.held.originals[number].get_or_insert_with(|| seconds.to_string().into());
            set(&mut endless.tolerations, key, None);
        }
    }
    endless.held.set_for = Some(FOR_EVER.into());
    endless
}

fn written(span: Span) -> Box<str> {
    match span {
        Span::ForEver => FOR_EVER.into(),
        Span::Seconds(seconds) => seconds.to_string().into(),
    }
}

/// What was tolerated, as we or OpenYurt have written it.
fn read(text: &str) -> i64 {
    let seconds = text.strip_suffix('s').unwrap_or(text).parse();
    seconds
        .ok()
        .filter(|seconds| *seconds >= 0)
        .unwrap_or(DEFAULT_SECONDS)
}

/// Which toleration decides about a taint.
enum Deciding {
    /// None: the pod is evicted at once.
    Nobody,
    /// One without an end.
    ForEver,
    /// The one at this place is for this taint alone, and has these seconds.
    This(usize, i64),
    /// One for more than this taint, with these seconds.
    Broader(i64),
}

/// The first that fits decides (`GetMatchingTolerations` in Kubernetes' `pkg/apis/core/v1/helper`).
fn deciding(tolerations: &[Toleration], key: &str) -> Deciding {
    let Some((place, found)) = tolerations.iter().enumerate().find(|(_, one)| fits(one, key)) else {
        return Deciding::Nobody;
    };
    match found.toleration_seconds {
        None => Deciding::ForEver,
        // What is not above zero is zero (`getMinTolerationTime`).
        Some(seconds) if found.key.as_deref() == Some(key) => Deciding::This(place, seconds.max(0)),
        Some(seconds) => Deciding::Broader(seconds.max(0)),
    }
}

/// `ToleratesTaint` of Kubernetes' core/v1, for a taint without a value that evicts.
fn fits(toleration: &Toleration, key: &str) -> bool {
    let unset_or = |field: &Option<Box<str>>, wanted: &str| match field.as_deref() {
        None | Some("") => true,
        Some(text) => text == wanted,
    };
    let value = toleration.value.as_deref().unwrap_or_default();
    unset_or(&toleration.effect, NO_EXECUTE)
        && unset_or(&toleration.key, key)
        && match toleration.operator.as_deref() {
            Some("Exists") => true,
            None | Some("" | "Equal") => value.is_empty(),
            Some(_) => false,
        }
}

/// Lets `key` be tolerated for `seconds`: in its own toleration, or in a new one before all others.
fn set(tolerations: &mut Vec<Toleration>, key: &str, seconds: Option<i64>) {
    match deciding(tolerations, key) {
        Deciding::This(place, _) => tolerations[place].toleration_seconds = seconds,
        Deciding::ForEver => {
            let ours = tolerations.iter_mut().find(|one| fits(one, key));
            if let Some(ours) = ours.filter(|one| one.key.as_deref() == Some(key)) {
                ours.toleration_seconds = seconds;
            }
        }
        Deciding::Nobody | Deciding::Broader(_) => tolerations.insert(
            0,
            Toleration {
                key: Some(key.into()),
                operator: Some("Exists".into()),
                effect: Some(NO_EXECUTE.into()),
                toleration_seconds: seconds,
                ..Toleration::default()
            },
        ),
    }
}

#[cfg(test)]
mod tests;
