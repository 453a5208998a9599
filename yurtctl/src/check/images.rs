//! Images that a node would have to pull again before its pods come back (pure).
//!
//! Sure is: what a running container uses is on the node, and what its kubelet could not get is not. Of all other
//! containers (init containers that are done, pods that wait) the Node tells, which lists no more than some images.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};

use super::offline::containers;
use super::{Finding, warning};
use crate::plan::{PodName, has_ended, is_servant};
use crate::selection::NodeView;

/// A kubelet tells of this many images, the largest first, unless `nodeStatusMaxImages` says otherwise.
const TOLD: usize = 50;
const NOT_THERE: [&str; 4] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "RegistryUnavailable",
];

/// Whether a container's image is on the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    There,
    Missing,
    Unknown,
}

/// Pods with images that are not on the node, or may not be.
pub fn missing(view: &NodeView, pods: &[Pod]) -> Vec<Finding> {
    let (mut missing, mut unknown) = (Vec::new(), Vec::new());
    for pod in pods.iter().filter(|pod| !has_ended(pod) && !is_servant(pod)) {
        for container in containers(pod) {
            let image = container.image.as_deref().unwrap_or_default();
            let list = match presence(view, image, status(pod, &container.name)) {
                Presence::There => continue,
                Presence::Missing => &mut missing,
                Presence::Unknown => &mut unknown,
            };
            let text = format!("{} ({image})", PodName::of(pod));
            if !list.contains(&text) {
                list.push(text);
            }
        }
    }
    let mut found = Vec::new();
    if !missing.is_empty() {
        found.push(warning(
            "image-missing",
            format!("these pods have images that are not on the node: {}", missing.join(", ")),
            "pull or load them there (`crictl pull`, `ctr --namespace k8s.io images import`) before it is cut off",
        ));
    }
    if !unknown.is_empty() {
        found.push(warning(
            "image-unknown",
            format!(
                "whether the images of these pods are on the node cannot be told, as its kubelet names only its {} largest: {}",
                view.images.len(),
                unknown.join(", ")
            ),
            "look with `crictl images` there, or set nodeStatusMaxImages: -1 in the kubelet's configuration",
        ));
    }
    found
}

fn presence(view: &NodeView, image: &str, status: Option<&ContainerStatus>) -> Presence {
    let state = status.and_then(|status| status.state.as_ref());
    let waits = state.and_then(|state| state.waiting.as_ref());
    if waits.is_some_and(|waits| {
        waits
            .reason
            .as_deref()
            .is_some_and(|why| NOT_THERE.contains(&why))
    }) {
        return Presence::Missing;
    }
    let runs = |state: &ContainerState| state.running.is_some();
    if state.is_some_and(runs) || view.images.iter().flatten().any(|name| is_named(name, image)) {
        Presence::There
    } else if view.images.is_empty() || view.images.len() >= TOLD {
        Presence::Unknown
    } else {
        Presence::Missing
    }
}

fn status<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let first = status.init_container_statuses.iter().flatten();
    let mut all = first.chain(status.container_statuses.iter().flatten());
    all.find(|status| status.name == container)
}

/// A name in parts (distribution/reference): registry, where it names one, and path with tag or digest.
fn parts(image: &str) -> (Option<&str>, String) {
    let (first, rest) = image.split_once('/').unwrap_or_default();
    let has_registry = first.contains(['.', ':']) || first == "localhost";
    let (registry, path) = if has_registry {
        (Some(first), rest)
    } else {
        (None, image)
    };
    let path = path.strip_prefix("library/").unwrap_or(path);
    let path = match path.split_once('@') {
        // The digest alone says which it is.
        Some((name, digest)) => format!("{}@{digest}", without_tag(name)),
        None if without_tag(path).len() == path.len() => format!("{path}:latest"),
        None => path.to_owned(),
    };
    (registry, path)
}

/// Whether a name on the node is that of a pod's image. A name without a registry means the one that the runtime falls back
/// to, which the node's name has.
fn is_named(on_node: &str, image: &str) -> bool {
    let ((there, path), (wanted, image)) = (parts(on_node), parts(image));
    path == image && (wanted.is_none() || wanted == there)
}

fn without_tag(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((before, tag)) if !tag.contains('/') => before,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use serde_json::{Value, json};

    fn pod(image: &str, state: &Value) -> Pod {
        let status = json!({
            "name": "c", "image": image, "imageID": "", "ready": false, "restartCount": 0, "state": state,
        });
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n"},
            "spec": {"containers": [{"name": "c", "image": image}]},
            "status": {"containerStatuses": [status]},
        }))
        .unwrap()
    }

    fn names(images: usize, pod: &Pod) -> Vec<&'static str> {
        let view = NodeView {
            images: (0..images)
                .map(|number| vec![format!("registry.example/library/there:{number}")])
                .collect(),
            ..samples::view()
        };
        missing(&view, std::slice::from_ref(pod))
            .iter()
            .map(|finding| finding.name)
            .collect()
    }

    #[test]
    fn what_is_not_on_the_node_is_told_with_how_sure_that_is() {
        let waits = |reason: &str| json!({"waiting": {"reason": reason}});
        let none: [&str; 0] = [];
        assert_eq!(names(1, &pod("there:0", &json!({}))), none);
        assert_eq!(
            names(1, &pod("registry.example/library/there:0", &json!({}))),
            none
        );
        assert_eq!(names(1, &pod("there:1", &json!({}))), ["image-missing"]);
        assert_eq!(names(50, &pod("other", &json!({}))), ["image-unknown"]);
        assert_eq!(names(0, &pod("other", &json!({}))), ["image-unknown"]);
        // What runs is there, whatever the Node lists; what cannot be pulled is not.
        assert_eq!(names(1, &pod("other", &json!({"running": {}}))), none);
        assert_eq!(
            names(50, &pod("other", &waits("ImagePullBackOff"))),
            ["image-missing"]
        );
        assert_eq!(names(1, &pod("there:0", &waits("CrashLoopBackOff"))), none);
    }

    #[test]
    fn names_of_images_are_compared_whole() {
        for (on_node, image, same) in [
            ("registry.example/library/nginx:latest", "nginx", true),
            ("registry.example/me/web:1", "me/web:1", true),
            ("registry.example/me/web:1", "web:1", false),
            ("registry.example/web:1", "registry.example/web:2", false),
            ("registry.example/web:1", "other.example/web:1", false),
            (
                "registry.example:5000/web:latest",
                "registry.example:5000/web",
                true,
            ),
            ("localhost/web:latest", "localhost/web", true),
            ("registry.example/library/web@sha256:ab", "web:1@sha256:ab", true),
            ("registry.example/library/web@sha256:ab", "web@sha256:cd", false),
        ] {
            assert_eq!(is_named(on_node, image), same, "{on_node} {image}");
        }
    }
}
