//! When a node counts as one that cannot be reached, although the cloud has it Ready still (pure). A node that was cut off
//! stays Ready for some 40 s; a pod that is made meanwhile waits, and nobody complains.

use std::time::Duration;

use thiserror::Error;

use super::pod_state::PodState;

/// A kubelet that is there takes a pod up within a second, on a bad link within some.
const UNANSWERED: Duration = Duration::from_mins(1);

/// The node does not answer; nothing is known to be wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("it does not answer: {0}")]
pub struct Silent(pub String);

/// What a pod does on its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Errand {
    /// It looks, and says at once what it saw.
    Look,
    /// It follows a transaction, which goes on also when nobody hears of it.
    CarryOut,
}

/// Whether to wait no longer. `ready`: whether the cloud has the node Ready now, where that was asked; `since`: for how long
/// the pod's state is as it is.
pub(super) fn judge(
    errand: Errand,
    state: &PodState,
    ready: Option<&Result<(), String>>,
    since: Duration,
) -> Option<Silent> {
    if !state.may_be_silence() {
        return None;
    }
    // What runs may have begun to change the node: that is waited for.
    let has_begun = errand == Errand::CarryOut && *state != PodState::Unanswered;
    match ready {
        Some(Err(why)) if !has_begun => Some(Silent(why.clone())),
        _ if *state == PodState::Unanswered && since >= UNANSWERED => Some(Silent(format!(
            "its kubelet has not taken up a pod for {} s, though the cloud has it Ready",
            since.as_secs()
        ))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_told_from_trouble() {
        let (up, down) = (Ok(()), Err("the kubelet stopped posting".to_owned()));
        let stuck = PodState::Stuck("no such image".to_owned());
        let hopeless = PodState::Hopeless("quota".to_owned());
        for (errand, state, ready, seconds, silent) in [
            (Errand::Look, &PodState::Unanswered, &up, 5, false),
            (Errand::Look, &PodState::Unanswered, &up, 60, true),
            (Errand::Look, &PodState::Unanswered, &down, 1, true),
            (Errand::Look, &PodState::Starting, &up, 100, false),
            (Errand::Look, &PodState::Starting, &down, 1, true),
            (Errand::Look, &PodState::Runs, &down, 1, true),
            // What is wrong is said by a kubelet, or by the cloud itself.
            (Errand::Look, &stuck, &down, 100, false),
            (Errand::Look, &hopeless, &up, 100, false),
            (Errand::Look, &PodState::None, &up, 100, false),
            (Errand::CarryOut, &PodState::Unanswered, &down, 1, true),
            (Errand::CarryOut, &PodState::Unanswered, &up, 60, true),
            (Errand::CarryOut, &PodState::Starting, &down, 100, false),
            (Errand::CarryOut, &PodState::Runs, &down, 100, false),
        ] {
            let since = Duration::from_secs(seconds);
            let found = judge(errand, state, Some(ready), since).is_some();
            assert_eq!(found, silent, "{errand:?} {state:?} {ready:?} {seconds}");
        }
    }
}
