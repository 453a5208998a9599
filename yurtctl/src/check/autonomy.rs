//! Whether a node that asks for autonomy has it (pure).

use yurt_common::autonomy::{AUTONOMY, BINDING, DURATION};

use super::{Finding, warning};
use crate::selection::NodeView;

/// What is wrong with the answer to a node's wish for autonomy, where it has one.
pub fn answer(view: &NodeView) -> Option<Finding> {
    let value = |name| view.annotations.get(name).or_else(|| view.labels.get(name));
    let asks =
        value(DURATION).is_some() || [AUTONOMY, BINDING].map(value).contains(&Some(&"true".to_owned()));
    match &view.autonomy {
        None if asks => Some(warning(
            "autonomy-unanswered",
            "it asks for autonomy, and nobody has answered: its pods are evicted when the cloud does not hear of it",
            "see that yurt-controller-manager runs in the namespace of the other objects, with the controller `autonomy`",
        )),
        Some(autonomy) if asks && !autonomy.holds => Some(warning(
            "autonomy-refused",
            format!(
                "it asks for autonomy, and does not have it: {} ({})",
                autonomy.message, autonomy.reason
            ),
            "`yurtctl autonomy NODE --on`, or `--for 2h`, writes a wish that is understood",
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use crate::selection::Autonomy;

    #[test]
    fn a_wish_without_an_answer_is_told() {
        let answered = |holds| {
            Some(Autonomy {
                holds,
                reason: "Reason".to_owned(),
                message: "why".to_owned(),
            })
        };
        for (wish, autonomy, expected) in [
            (None, None, None),
            (Some((AUTONOMY, "false")), None, None),
            (Some((AUTONOMY, "true")), None, Some("autonomy-unanswered")),
            (Some((BINDING, "true")), answered(true), None),
            (
                Some((DURATION, "two hours")),
                answered(false),
                Some("autonomy-refused"),
            ),
            // Its peers vouch for it: nobody asked.
            (None, answered(true), None),
            (None, answered(false), None),
        ] {
            for as_label in [false, true] {
                let mut view = samples::view();
                let map = if as_label {
                    &mut view.labels
                } else {
                    &mut view.annotations
                };
                map.extend(wish.map(|(name, value)| (name.to_owned(), value.to_owned())));
                view.autonomy.clone_from(&autonomy);
                let found = answer(&view).map(|finding| finding.name);
                assert_eq!(found, expected, "{wish:?} {autonomy:?}");
            }
        }
    }
}
