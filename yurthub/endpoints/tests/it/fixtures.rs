//! Objects as Kubernetes' own marshallers write them (`codegen/fixtures`): one story in both encodings.
//!
//! The node `edge1` has rebooted without the cloud. `till-1` runs again at another address, `till-4` too
//! and was not ready before, `till-3` is not back yet, `edge2` with `till-2` cannot be reached. The
//! fixtures named `-rebooted` are what the marshallers make of the objects as they should be shown then.

use std::{fs, path::Path};

use bytes::Bytes;
use yurthub_endpoints::{Kind, LocalPod, Source, Targets, service_of, targets};
use yurthub_object::{Encoding, single};

use crate::model::{ENCODINGS, Known, running, shown};

fn fixture(kind: Kind, encoding: Encoding, state: &str) -> Bytes {
    let name = match kind {
        Kind::EndpointSlice => "slice",
        Kind::Endpoints => "endpoints",
    };
    let extension = match encoding {
        Encoding::Json => "json",
        Encoding::Protobuf => "pb",
    };
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{name}{state}.{extension}"));
    single::split(encoding, &fs::read(path).unwrap().into())
        .unwrap()
        .1
}

fn rebooted() -> Known {
    let till_3 = LocalPod {
        reported: false,
        ..running(&["10.244.1.6"])
    };
    Known {
        pods: [
            ("uid-till-1".to_owned(), running(&["10.244.1.21"])),
            ("uid-till-3".to_owned(), till_3),
            ("uid-till-4".to_owned(), running(&["10.244.1.24"])),
        ]
        .into(),
        detached: true,
        unreachable: ["edge2".to_owned()].into(),
        kept: [].into(),
        publish: false,
    }
}

#[test]
fn what_is_shown_has_the_bytes_that_kubernetes_would_have_written() {
    for kind in [Kind::EndpointSlice, Kind::Endpoints] {
        for encoding in ENCODINGS {
            let item = fixture(kind, encoding, "");
            let got = shown(kind, encoding, &item, &rebooted());
            assert_eq!(
                got,
                Some(fixture(kind, encoding, "-rebooted")),
                "{kind:?} {encoding:?}"
            );
        }
    }
}

#[test]
fn what_is_shown_stays_and_a_quiet_node_changes_nothing() {
    let unready = |ip| LocalPod {
        ready: false,
        ..running(&[ip])
    };
    let quiet = Known {
        pods: [
            ("uid-till-1".to_owned(), running(&["10.244.1.5"])),
            ("uid-till-3".to_owned(), unready("10.244.1.6")),
            ("uid-till-4".to_owned(), unready("10.244.1.7")),
        ]
        .into(),
        ..Known::default()
    };
    for kind in [Kind::EndpointSlice, Kind::Endpoints] {
        for encoding in ENCODINGS {
            let item = fixture(kind, encoding, "");
            assert_eq!(
                shown(kind, encoding, &item, &quiet),
                None,
                "{kind:?} {encoding:?}"
            );
            let changed = shown(kind, encoding, &item, &rebooted()).unwrap();
            assert_eq!(
                shown(kind, encoding, &changed, &rebooted()),
                None,
                "{kind:?} {encoding:?}"
            );
        }
    }
}

#[test]
fn objects_are_indexed_by_pods_nodes_and_service() {
    let set = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    let want = Targets {
        pods: set(&["uid-till-1", "uid-till-2", "uid-till-3", "uid-till-4"]),
        nodes: set(&["edge1", "edge2"]),
    };
    for kind in [Kind::EndpointSlice, Kind::Endpoints] {
        for encoding in ENCODINGS {
            let item = fixture(kind, encoding, "");
            let source = Source {
                kind,
                encoding,
                item: &item,
            };
            assert_eq!(targets(source).as_ref(), Ok(&want), "{kind:?} {encoding:?}");
            assert_eq!(
                service_of(source),
                Ok(Some("till".into())),
                "{kind:?} {encoding:?}"
            );
        }
    }
    for (item, want) in [
        (
            r#"{"metadata":{},"addressType":"FQDN","endpoints":[{"addresses":["a.example"],"targetRef":{"kind":"Pod","uid":"u"}}]}"#,
            Targets::default(),
        ),
        (
            r#"{"metadata":{},"addressType":"IPv4","endpoints":[{"nodeName":"edge1"}]}"#,
            Targets::default(),
        ),
    ] {
        let source = Source {
            kind: Kind::EndpointSlice,
            encoding: Encoding::Json,
            item: item.as_bytes(),
        };
        assert_eq!(targets(source), Ok(want), "{item}");
        assert_eq!(service_of(source), Ok(None), "{item}");
    }
}
