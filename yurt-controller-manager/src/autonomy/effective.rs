//! What holds for a node: its own wish, or what its pool says of it (pure).
//!
//! An operator's wish goes first, whatever peers see.

use super::tolerations::{Held, Toleration, of_silence};
use super::wish::{Span, Wish};
use crate::pools::rulings::Word;

/// Pods that tolerate silence for less than this might be evicted before peers have had their say
/// ([`AWAIT`](crate::pools::verdict::AWAIT)), and the cloud has been told.
const SHORT: i64 = 60;
/// For pods that stay until there is a word.
const MEANWHILE: Wish = Wish::Stay(Span::ForEver, "its peers, who are asked");

/// What holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effective {
    /// This, for all pods.
    All(Wish),
    /// There will be a word in a moment: only pods are held that would be evicted before.
    Meanwhile,
    /// Nothing is changed.
    Leave,
    /// Pods go; the Node says what follows from its own wish.
    PodsGo,
}

/// What holds for a node with `wish` of which its pool says `word`.
pub fn combine(wish: &Wish, word: Word) -> Effective {
    match (wish, word) {
        (Wish::Nothing, Word::Hold(vouch, words)) => Effective::All(Wish::Vouched(vouch, words)),
        (Wish::Nothing, Word::Wait) => Effective::Meanwhile,
        (Wish::Nothing, Word::Leave) => Effective::Leave,
        (Wish::Nothing, Word::Dead(_)) => Effective::PodsGo,
        (_, Word::Nothing | Word::Hold(..) | Word::Wait | Word::Leave | Word::Dead(_)) => {
            Effective::All(wish.clone())
        }
    }
}

impl Effective {
    /// By what a pod's tolerations are decided; `None`: they are left as they are.
    pub fn for_pod(&self, tolerations: &[Toleration], held: &Held) -> Option<&Wish> {
        match self {
            Self::All(wish) => Some(wish),
            Self::Meanwhile => {
                let short = of_silence(tolerations, held).is_some_and(|seconds| seconds < SHORT);
                (short && !held.is_any()).then_some(&MEANWHILE)
            }
            Self::Leave | Self::PodsGo => None,
        }
    }

    /// By what the Node's condition is decided; `None`: it is left as it is.
    pub fn for_node(&self) -> Option<&Wish> {
        match self {
            Self::All(wish) => Some(wish),
            Self::PodsGo => Some(&Wish::Nothing),
            Self::Meanwhile | Self::Leave => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::wish::AUTONOMY;
    use super::*;
    use crate::pools::rulings::Vouch;

    #[test]
    fn an_operators_wish_goes_before_what_peers_see() {
        let words = || -> [Word; 5] {
            [
                Word::Nothing,
                Word::Hold(Vouch::Alive, "w".into()),
                Word::Wait,
                Word::Leave,
                Word::Dead("w".into()),
            ]
        };
        let unclear = Wish::Unclear {
            text: "soon".to_owned(),
            why: super::super::go_duration::NoDuration::Number,
        };
        for wish in [
            Wish::Stay(Span::ForEver, AUTONOMY),
            Wish::Stay(Span::Seconds(9), AUTONOMY),
            unclear,
        ] {
            for word in words() {
                assert_eq!(
                    combine(&wish, word.clone()),
                    Effective::All(wish.clone()),
                    "{word:?}"
                );
            }
        }
        let found = words().map(|word| combine(&Wish::Nothing, word));
        let vouched = Wish::Vouched(Vouch::Alive, "w".into());
        let expected = [
            Effective::All(Wish::Nothing),
            Effective::All(vouched),
            Effective::Meanwhile,
            Effective::Leave,
            Effective::PodsGo,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn until_there_is_a_word_only_those_are_held_that_would_be_evicted() {
        let unreachable = |seconds: Option<i64>| -> Vec<Toleration> {
            serde_json::from_value(json!([{
                "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute",
                "tolerationSeconds": seconds,
            }]))
            .unwrap()
        };
        let no = Held::default();
        for (tolerations, held) in [
            (unreachable(Some(10)), true),
            (Vec::new(), true),
            (unreachable(Some(300)), false),
            (unreachable(None), false),
        ] {
            let wish = Effective::Meanwhile.for_pod(&tolerations, &no);
            assert_eq!(wish.is_some(), held, "{tolerations:?}");
        }
        let held = Held {
            originals: [Some("10".into()), Some("10".into())],
            set_for: Some("for-ever".into()),
        };
        assert_eq!(
            Effective::Meanwhile.for_pod(&unreachable(None), &held),
            None,
            "it is held already"
        );
        assert_eq!(of_silence(&unreachable(None), &held), Some(10));
    }
}
