//! The same patch to a real apiserver and to [`strategic::apply_status`]: the same status, in both encodings.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of one test")]

use std::collections::HashMap;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use yurt_testkit::api::Raw;
use yurt_testkit::{Api, ApiServer};
use yurthub_object::single;
use yurthub_patch::{Encoding, ObjectKind, owned, strategic};

const STRATEGIC: &str = "application/strategic-merge-patch+json";
const BOTH: [Encoding; 2] = [Encoding::Json, Encoding::Protobuf];

/// Where an object of a vector lives on the server.
struct Place {
    kind: ObjectKind,
    collection: &'static str,
    name: String,
}

impl Place {
    fn path(&self) -> String {
        format!("{}/{}", self.collection, self.name)
    }

    fn status(&self) -> String {
        format!("{}/status", self.path())
    }

    async fn read(&self, api: &Api, encoding: Encoding) -> Bytes {
        let reply = api
            .send(Raw::get(self.path(), encoding.content_type()))
            .await
            .unwrap();
        assert_eq!(reply.status, 200);
        single::split(encoding, &reply.body).unwrap().1
    }

    /// Creates a vector's object, and gives it its status.
    async fn create(&self, api: &Api, object: &Value) -> Value {
        let mut object = object.clone();
        object["metadata"] = json!({
            "name": self.name, "labels": object["metadata"]["labels"],
            "annotations": object["metadata"].get("annotations"), "finalizers": object["metadata"].get("finalizers")});
        if self.kind == ObjectKind::Pod {
            object["spec"]["automountServiceAccountToken"] = json!(false);
            object["spec"]["resourceClaims"] = Value::Null;
            object["status"]["resourceClaimStatuses"] = Value::Null;
        }
        let (status, created) = api.post(self.collection, object.clone()).await.unwrap();
        assert_eq!(status, 201, "{created}");
        let mut with_status = created;
        with_status["status"] = object["status"].clone();
        let (status, created) = api.put(&self.status(), with_status).await.unwrap();
        assert_eq!(status, 200, "{created}");
        created
    }
}

/// What became of the patches.
#[derive(Default)]
struct Tally {
    applied: usize,
    refused: usize,
    /// By validation, which is the apiserver's alone.
    invalid: Vec<String>,
}

#[tokio::test]
async fn same_patch_same_status_as_the_apiserver() {
    let server = ApiServer::start().await.unwrap();
    let api = server.admin();
    yurt_testkit::objects::ensure_namespace(api, "default")
        .await
        .unwrap();
    let file: Value = serde_json::from_str(include_str!("vectors/strategic.json")).unwrap();
    let mut tally = Tally::default();
    let vectors = file["vectors"].as_array().unwrap().iter();
    for (i, vector) in vectors.filter(|vector| fits(vector)).enumerate() {
        let is_node = vector["kind"] == "Node";
        let place = Place {
            kind: if is_node {
                ObjectKind::Node
            } else {
                ObjectKind::Pod
            },
            collection: if is_node {
                "/api/v1/nodes"
            } else {
                "/api/v1/namespaces/default/pods"
            },
            name: format!("vector-{i}"),
        };
        let object = &file["objects"][vector["object"].as_str().unwrap()]["json"];
        let created = place.create(api, object).await;
        let mut patch = vector["patch"].clone();
        if patch["metadata"].get("uid").is_some() {
            patch["metadata"]["uid"] = created["metadata"]["uid"].clone();
        }
        compare(api, &place, vector["name"].as_str().unwrap(), &patch, &mut tally).await;
    }
    let place = Place {
        kind: ObjectKind::Node,
        collection: "/api/v1/nodes",
        name: "replaced".to_owned(),
    };
    place.create(api, &file["objects"]["Node-1"]["json"]).await;
    let for_another = json!({"metadata": {"uid": "of its predecessor"}, "status": {"phase": "Pending"}});
    compare(api, &place, "another UID", &for_another, &mut tally).await;
    assert!(
        tally.applied >= 140,
        "{} applied; invalid: {:#?}",
        tally.applied,
        tally.invalid
    );
    assert!(tally.refused >= 30, "{} refused", tally.refused);
}

/// Left out are merge patches (the server takes them for the status too, but the vectors of spec would do nothing),
/// what makes the apiserver's handler panic, and `status.config`, of which the registry drops what is new.
fn fits(vector: &Value) -> bool {
    let panics = vector
        .get("error")
        .and_then(Value::as_str)
        .is_some_and(|error| error.starts_with("panic"));
    vector["mergePatch"] == false && !panics && vector["patch"]["status"].get("config").is_none()
}

async fn compare(api: &Api, place: &Place, name: &str, patch: &Value, tally: &mut Tally) {
    let patch = patch.to_string();
    let mut ours = HashMap::new();
    for encoding in BOTH {
        let item = place.read(api, encoding).await;
        ours.insert(
            encoding,
            strategic::apply_status(encoding, place.kind, &item, patch.as_bytes()),
        );
    }
    let request = Raw::new(Method::PATCH, place.status()).body(STRATEGIC, patch);
    let reply = api.send(request).await.unwrap();
    for encoding in BOTH {
        let ours = ours.remove(&encoding).unwrap();
        match (reply.status, ours) {
            (200, Ok(ours)) => {
                let theirs = place.read(api, encoding).await;
                let same = owned::equal_status(encoding, place.kind, &ours, &theirs).unwrap();
                if encoding == Encoding::Json {
                    same_metadata(name, &ours, &theirs);
                    let (ours, theirs) = (&member(&ours, "status"), &member(&theirs, "status"));
                    assert!(same, "{name}:\n{ours}\n{theirs}");
                }
                assert!(same, "{name} ({encoding:?})");
                tally.applied += 1;
            }
            (200, Err(error)) => panic!("{name} ({encoding:?}): only we refuse: {error:?}"),
            (_, Err(_)) => tally.refused += 1,
            (422, Ok(_)) => tally.invalid.push(name.to_owned()),
            (status, Ok(_)) => {
                panic!(
                    "{name} ({encoding:?}): only the apiserver refuses: {status} {:?}",
                    reply.body
                )
            }
        }
    }
}

fn same_metadata(name: &str, ours: &Bytes, theirs: &Bytes) {
    let (ours, theirs) = (member(ours, "metadata"), member(theirs, "metadata"));
    for member in ["labels", "annotations", "finalizers", "uid", "ownerReferences"] {
        assert_eq!(ours[member], theirs[member], "{name}: {member}");
    }
}

fn member(item: &Bytes, name: &str) -> Value {
    serde_json::from_slice::<Value>(item).unwrap()[name].clone()
}
