//! What the fuzz target checks. A plain function, also run by `tests/it/corpus.rs` over the corpus and
//! over damaged real bytes.
//!
//! Of the first byte of the input the lowest bit chooses the encoding (0: JSON) and the next one the
//! kind (0: EndpointSlice); the rest is the item.
#![allow(clippy::expect_used, reason = "what breaks a property is to be found")]
#![allow(clippy::unwrap_used, reason = "as above")]
#![allow(unreachable_pub, reason = "the fuzz target is another crate than the tests")]

use std::collections::{BTreeMap, BTreeSet};

use yurthub_endpoints::{
    Kind, LocalPod, Reality, Shown, Source, publishes_not_ready, service_of, show as show_source, targets,
};
use yurthub_object::Encoding;

/// Nothing panics; what is shown can be read, stands for the same pods, and is shown as it is.
pub fn show(data: &[u8]) {
    let Some((choice, item)) = data.split_first() else {
        return;
    };
    let encoding = [Encoding::Json, Encoding::Protobuf][usize::from(choice & 1)];
    let kind = [Kind::EndpointSlice, Kind::Endpoints][usize::from(choice >> 1 & 1)];
    let source = Source { kind, encoding, item };
    let _ = service_of(source);
    let _ = publishes_not_ready(encoding, item);
    let _ = LocalPod::read(encoding, item, true);
    let before = targets(source);
    let pods = pods();
    let unreachable_nodes = BTreeSet::from(["edge2".to_owned()]);
    let kept_nodes = BTreeMap::from([("edge3".to_owned(), BTreeSet::from(["uid-till-4".to_owned()]))]);
    let reality = Reality {
        node: "edge1",
        pods: Some(&pods),
        detached: true,
        unreachable_nodes: &unreachable_nodes,
        kept_nodes: &kept_nodes,
    };
    for publish in [false, true] {
        let Ok(Shown::Changed(bytes)) = show_source(source, &reality, publish) else {
            continue;
        };
        let again = Source {
            item: &bytes,
            ..source
        };
        assert_eq!(targets(again), before, "other pods");
        let settled = show_source(again, &reality, publish);
        assert_eq!(settled.expect("what was shown can be read"), Shown::Keep);
    }
}

fn pods() -> BTreeMap<String, LocalPod> {
    let pod = LocalPod {
        ips: vec!["10.244.1.21".parse().unwrap(), "fd00::21".parse().unwrap()],
        ready: true,
        reported: true,
        ..LocalPod::default()
    };
    [("uid-till-1".to_owned(), pod.clone()), ("u".to_owned(), pod)].into()
}
