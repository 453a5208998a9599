//! What a Node asks for, by its labels and annotations (pure).
//!
//! The names are OpenYurt's; each is understood as annotation and as label, the annotation first.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use yurt_common::autonomy::{AUTONOMY, BINDING, DURATION};

use super::go_duration::{self, NoDuration};
use crate::pools::rulings::Vouch;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Nothing: the node is an ordinary one.
    Nothing,
    /// Pods stay.
    Stay(Span, &'static str),
    /// Something that is not understood. Pods are left as they are.
    Unclear {
        /// The text, shortened.
        text: String,
        /// What is wrong with it.
        why: NoDuration,
    },
    /// Nothing; but others say that the node lives, and why, in a sentence. No Node asks for this: it is made of what
    /// holds in its pool ([`effective`](super::effective)).
    Vouched(Vouch, Arc<str>),
}

/// For how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Span {
    /// So many seconds after the node has fallen silent.
    Seconds(u64),
    /// Until it comes back.
    ForEver,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForEver => f.write_str("for ever"),
            Self::Seconds(seconds) => write!(f, "for {}", go_duration::write(*seconds)),
        }
    }
}

/// Reads what is asked for. Who says `true` is heard before a duration, as in OpenYurt.
pub fn of(labels: &BTreeMap<String, String>, annotations: &BTreeMap<String, String>) -> Wish {
    let value = |name| annotations.get(name).or_else(|| labels.get(name));
    for name in [AUTONOMY, BINDING] {
        if value(name).is_some_and(|text| text == "true") {
            return Wish::Stay(Span::ForEver, name);
        }
    }
    let Some(text) = value(DURATION) else {
        return Wish::Nothing;
    };
    match go_duration::parse(text.trim()) {
        Ok(Some(duration)) if !duration.is_zero() => Wish::Stay(Span::Seconds(whole(duration)), DURATION),
        Ok(_) => Wish::Stay(Span::ForEver, DURATION),
        Err(why) => Wish::Unclear {
            text: text.chars().take(40).collect(),
            why,
        },
    }
}

/// Tolerations count whole seconds; a part of one counts as one.
fn whole(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn labels_and_annotations_are_understood() {
        use Span::{ForEver, Seconds};
        for (labels, annotations, expected) in [
            (&[][..], &[][..], Wish::Nothing),
            (&[(AUTONOMY, "false")], &[(BINDING, "no")], Wish::Nothing),
            (&[], &[(AUTONOMY, "true")], Wish::Stay(ForEver, AUTONOMY)),
            (&[(AUTONOMY, "true")], &[], Wish::Stay(ForEver, AUTONOMY)),
            (&[(AUTONOMY, "true")], &[(AUTONOMY, "false")], Wish::Nothing),
            (&[(BINDING, "true")], &[], Wish::Stay(ForEver, BINDING)),
            (&[], &[(DURATION, "0")], Wish::Stay(ForEver, DURATION)),
            (&[], &[(DURATION, "-1s")], Wish::Stay(ForEver, DURATION)),
            (&[], &[(DURATION, " 2h ")], Wish::Stay(Seconds(7200), DURATION)),
            (&[(DURATION, "1500ms")], &[], Wish::Stay(Seconds(2), DURATION)),
            (
                &[(DURATION, "1h")],
                &[(DURATION, "2h")],
                Wish::Stay(Seconds(7200), DURATION),
            ),
            (
                &[],
                &[(AUTONOMY, "true"), (DURATION, "1h")],
                Wish::Stay(ForEver, AUTONOMY),
            ),
            (
                &[],
                &[(DURATION, "two hours")],
                Wish::Unclear {
                    text: "two hours".to_owned(),
                    why: NoDuration::Number,
                },
            ),
        ] {
            assert_eq!(
                of(&map(labels), &map(annotations)),
                expected,
                "{labels:?} {annotations:?}"
            );
        }
    }

    #[test]
    fn a_span_is_told_in_words() {
        assert_eq!(Span::ForEver.to_string(), "for ever");
        assert_eq!(Span::Seconds(5400).to_string(), "for 1h30m0s");
        assert!(Span::Seconds(u64::MAX) < Span::ForEver);
    }
}
