//! How far a pod is, by its status (pure).

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PodState {
    /// There is none yet.
    None,
    /// Its kubelet has told nothing of it yet.
    Unanswered,
    /// It is being started.
    Starting,
    /// It runs.
    Runs,
    /// It does not start, for a reason that may go by itself.
    Stuck(String),
    /// It will not start.
    Hopeless(String),
    /// It has ended with these words.
    Said(String),
}

impl std::fmt::Display for PodState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => write!(
                f,
                "no pod was made; is a quota or an admission policy in the way?"
            ),
            Self::Unanswered => write!(f, "its pod was made, its kubelet has not answered"),
            Self::Starting => write!(f, "its pod is being started"),
            Self::Runs => write!(f, "its pod runs"),
            Self::Stuck(why) | Self::Hopeless(why) => write!(f, "{why}"),
            Self::Said(text) => write!(f, "its pod said {text}"),
        }
    }
}

impl PodState {
    /// Whether this is all that can be seen of a pod whose node was cut off: nobody complains, and nothing goes on.
    pub(super) fn may_be_silence(&self) -> bool {
        matches!(self, Self::Unanswered | Self::Starting | Self::Runs)
    }
}

/// The state of the Job's pods: what one of them has said counts.
pub(super) fn of(pods: &[Pod]) -> PodState {
    let mut state = PodState::None;
    for pod in pods {
        match of_pod(pod) {
            said @ PodState::Said(_) => return said,
            other => state = other,
        }
    }
    state
}

fn of_pod(pod: &Pod) -> PodState {
    let Some(status) = &pod.status else {
        return PodState::Unanswered;
    };
    let Some(container) = status.container_statuses.iter().flatten().next() else {
        let phase = status.phase.as_deref().unwrap_or("Pending");
        let message = status.message.as_deref().unwrap_or_default();
        let text = format!("its pod is {phase} {message}").trim_end().to_owned();
        return if phase == "Failed" {
            PodState::Hopeless(text)
        } else {
            PodState::Unanswered
        };
    };
    if let Some(text) = said(container) {
        return PodState::Said(text);
    }
    let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
    let Some(reason) = waiting.and_then(|waiting| waiting.reason.as_deref()) else {
        return PodState::Runs;
    };
    let message = waiting
        .and_then(|waiting| waiting.message.as_deref())
        .unwrap_or_default();
    let image = container.image.as_str();
    match reason {
        "ErrImageNeverPull" | "InvalidImageName" => PodState::Hopeless(format!(
            "the image `{image}` is not on the node ({reason}): load it there, or set another with --image or in yurt-hub-cfg"
        )),
        "ErrImagePull" | "ImagePullBackOff" => PodState::Stuck(format!(
            "the image `{image}` cannot be pulled: {message}; load it into the node, name a mirror with --image, or give \
             credentials by imagePullSecrets in yurt-hub-cfg"
        )),
        "ContainerCreating" | "PodInitializing" => PodState::Starting,
        _ => PodState::Stuck(format!("its pod does not start: {reason} {message}")),
    }
}

/// Its last words: of the container as it is, or as it was before it was started again.
fn said(container: &ContainerStatus) -> Option<String> {
    [&container.state, &container.last_state]
        .into_iter()
        .flatten()
        .filter_map(|state| state.terminated.as_ref())
        .filter_map(|terminated| terminated.message.clone())
        .find(|message| !message.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(container: &serde_json::Value) -> Pod {
        let status = json!({"containerStatuses": [container]});
        serde_json::from_value(json!({"metadata": {}, "status": status})).unwrap()
    }

    fn container(state: &serde_json::Value) -> serde_json::Value {
        json!({"name": "servant", "image": "yurt:1", "imageID": "", "ready": false, "restartCount": 0, "state": state})
    }

    #[test]
    fn an_image_that_is_not_there_is_told_with_what_to_do() {
        let state = of(&[pod(&container(
            &json!({"waiting": {"reason": "ErrImageNeverPull"}}),
        ))]);
        let PodState::Hopeless(why) = state else {
            panic!("{state:?}");
        };
        assert!(why.contains("yurt:1") && why.contains("--image"), "{why}");
        let state = of(&[pod(&container(
            &json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such host"}}),
        ))]);
        assert!(matches!(state, PodState::Stuck(why) if why.contains("no such host")));
    }

    #[test]
    fn a_pod_that_nobody_has_taken_up_is_told_from_one_that_cannot_start() {
        let fresh = |status: serde_json::Value| -> Pod {
            serde_json::from_value(json!({"metadata": {}, "status": status})).unwrap()
        };
        assert_eq!(of(&[fresh(json!({"phase": "Pending"}))]), PodState::Unanswered);
        let starting = pod(&container(&json!({"waiting": {"reason": "ContainerCreating"}})));
        assert_eq!(of(&[starting]), PodState::Starting);
        let rejected = fresh(json!({"phase": "Failed", "message": "Node didn't have enough pods"}));
        let state = of(&[rejected]);
        assert!(matches!(&state, PodState::Hopeless(why) if why.contains("enough pods")));
        assert!(!state.may_be_silence() && !PodState::None.may_be_silence());
    }

    #[test]
    fn what_it_said_counts_also_when_it_was_started_again() {
        let ended = json!({"terminated": {"exitCode": 0, "message": "hello"}});
        assert_eq!(of(&[pod(&container(&ended))]), PodState::Said("hello".to_owned()));
        let mut again = container(&json!({"running": {}}));
        again["lastState"] = ended;
        assert_eq!(of(&[pod(&again)]), PodState::Said("hello".to_owned()));
        let killed = json!({"terminated": {"exitCode": 137}});
        assert!(of(&[pod(&container(&killed))]) == PodState::Runs);
        assert_eq!(of(&[]), PodState::None);
    }
}
