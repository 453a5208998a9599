//! What no rule touches keeps its bytes; what is broken is refused.

use std::time::{Duration, Instant};

use yurthub_endpoints::{Kind, Shown, Source, show};
use yurthub_object::{
    Encoding, Malformed, Reason,
    wire::{put_bytes, put_number},
};

use crate::{
    model::{ENCODINGS, Known, Typed, running, shown},
    slices::{endpoint, slice},
};

fn known() -> Known {
    Known {
        pods: [("u1".to_owned(), running(&["10.0.0.9"]))].into(),
        ..Known::default()
    }
}

#[test]
fn unknown_json_survives() {
    let slice = |address: &str, ready: bool| {
        format!(
            r#"{{"metadata":{{"name":"a","x":1}},"addressType":"IPv4","new":[1],"endpoints":[{{"addresses":["10.0.0.2"],"a":{{}}}},
 {{"b":null,"addresses":["{address}"],"conditions":{{"novel":true,"ready":{ready},"serving":true,"terminating":false,"z":"z"}},"targetRef":{{"uid":"u1","kind":"Pod","q":1}},"nodeName":"edge1","c":[ ]}}],"ports":[],"end":1.50}}"#
        )
    };
    let got = shown(
        Kind::EndpointSlice,
        Encoding::Json,
        slice("10.0.0.1", false).as_bytes(),
        &known(),
    );
    assert_eq!(got.unwrap(), slice("10.0.0.9", true));

    let endpoints = |lists: &str| {
        format!(r#"{{"metadata":{{}},"subsets":[{{"x":1}},{{"x":1,{lists},"ports":[],"y":2}}],"z":3}}"#)
    };
    let address = |ip: &str| {
        format!(r#"{{"n":1,"ip":"{ip}","targetRef":{{"kind":"Pod","uid":"u1"}},"nodeName":"edge1","m":2}}"#)
    };
    let other = r#"{"ip":"10.0.0.3" ,"u":1}"#;
    for (before, after) in [
        (
            format!(r#""addresses":[{other},{}]"#, address("10.0.0.1")),
            format!(r#""addresses":[{other},{}]"#, address("10.0.0.9")),
        ),
        (
            format!(r#""notReadyAddresses":[{}]"#, address("10.0.0.1")),
            format!(r#""addresses":[{}]"#, address("10.0.0.9")),
        ),
        (
            format!(r#""w":0,"notReadyAddresses":[{other},{}]"#, address("10.0.0.9")),
            format!(
                r#""w":0,"addresses":[{}],"notReadyAddresses":[{other}]"#,
                address("10.0.0.9")
            ),
        ),
        (
            format!(
                r#""addresses":null,"w":0,"notReadyAddresses":[{}]"#,
                address("10.0.0.9")
            ),
            format!(r#""addresses":[{}],"w":0"#, address("10.0.0.9")),
        ),
    ] {
        let got = shown(
            Kind::Endpoints,
            Encoding::Json,
            endpoints(&before).as_bytes(),
            &known(),
        );
        assert_eq!(got.unwrap(), endpoints(&after));
    }
}

fn message(fields: &[(u32, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, payload) in fields {
        put_bytes(&mut out, *number, payload);
    }
    out
}

#[test]
fn unknown_protobuf_survives() {
    let slice = |ip: &[u8], ready: u64| {
        let mut conditions = Vec::new();
        for (number, value) in [(1, ready), (2, 1), (3, 0), (90, 7)] {
            put_number(&mut conditions, number, value);
        }
        let reference = message(&[(1, b"Pod"), (4, b"u1"), (70, b"q")]);
        let endpoint = message(&[
            (1, ip),
            (2, &conditions),
            (4, &reference),
            (6, b"edge1"),
            (99, b"new"),
        ]);
        let other = message(&[(1, b"10.0.0.2"), (80, b"a")]);
        message(&[
            (1, b""),
            (2, &other),
            (2, &endpoint),
            (60, b"b"),
            (4, b"IPv4"),
            (61, b"c"),
        ])
    };
    let got = shown(
        Kind::EndpointSlice,
        Encoding::Protobuf,
        &slice(b"10.0.0.100", 0),
        &known(),
    );
    assert_eq!(got.unwrap(), slice(b"10.0.0.9", 1));

    let address = |ip: &[u8]| {
        let reference = message(&[(1, b"Pod"), (4, b"u1"), (70, b"q")]);
        message(&[(1, ip), (2, &reference), (4, b"edge1"), (99, b"new")])
    };
    let (old, new) = (address(b"10.0.0.100"), address(b"10.0.0.9"));
    let endpoints = |subset: &[u8]| message(&[(1, b""), (2, b"\x98\x06\x01"), (2, subset), (60, b"b")]);
    for (before, after) in [
        (
            message(&[(1, b""), (1, &old), (3, b""), (50, b"x")]),
            message(&[(1, b""), (1, &new), (3, b""), (50, b"x")]),
        ),
        (
            message(&[(2, &old), (3, b""), (50, b"x")]),
            message(&[(1, &new), (3, b""), (50, b"x")]),
        ),
        (
            message(&[(1, b""), (2, b""), (2, &old), (2, b""), (3, b"")]),
            message(&[(1, b""), (1, &new), (2, b""), (2, b""), (3, b"")]),
        ),
    ] {
        let got = shown(Kind::Endpoints, Encoding::Protobuf, &endpoints(&before), &known());
        assert_eq!(got.unwrap(), endpoints(&after));
    }
}

fn refusal(kind: Kind, encoding: Encoding, item: &[u8]) -> Malformed {
    let known = known();
    show(Source { kind, encoding, item }, &known.reality(), false).unwrap_err()
}

#[test]
fn broken_objects_are_refused() {
    for (item, reason) in [
        (r#"{"addressType":4}"#, Reason::WrongType),
        (r#"{"addressType":"IPv4","endpoints":{}}"#, Reason::WrongType),
        (
            r#"{"addressType":"IPv4","endpoints":[{"addresses":[1]}]}"#,
            Reason::WrongType,
        ),
        (
            r#"{"addressType":"IPv4","endpoints":[{"conditions":{"ready":"yes"}}]}"#,
            Reason::WrongType,
        ),
        (r#"{"addressType":"IPv4","endpoints":[{}"#, Reason::Truncated),
    ] {
        let want = reason.reading("EndpointSlice");
        assert_eq!(
            refusal(Kind::EndpointSlice, Encoding::Json, item.as_bytes()),
            want,
            "{item}"
        );
    }
    let endpoint = message(&[(2, b"\x0a\x00")]);
    let item = message(&[(2, &endpoint), (4, b"IPv4")]);
    let want = Reason::WrongType.reading("EndpointSlice");
    assert_eq!(refusal(Kind::EndpointSlice, Encoding::Protobuf, &item), want);
    let want = Reason::Truncated.reading("Endpoints");
    assert_eq!(
        refusal(Kind::Endpoints, Encoding::Protobuf, b"\x12\x05\x0a"),
        want
    );
    assert_eq!(
        refusal(Kind::Endpoints, Encoding::Json, br#"{"subsets":[{"ports":[1"#),
        want
    );
}

/// A slice of the greatest size, each endpoint of which changes; work that is not linear in it would
/// take far longer than the bound, which is generous for slow machines.
#[test]
fn large_slices_take_little_time() {
    let known = Known::default();
    let endpoints = |count: usize, ready| {
        let of = |index: usize| {
            let ip = format!("10.1.{}.{}", index / 250, index % 250);
            endpoint(
                &format!("u-{index}"),
                "edge1",
                &[&ip],
                [Some(ready), Some(ready), Some(false)],
            )
        };
        slice("IPv4", (0..count).map(of).collect())
    };
    for encoding in ENCODINGS {
        let item = endpoints(10_000, true).encode(encoding);
        let source = Source {
            kind: Kind::EndpointSlice,
            encoding,
            item: &item,
        };
        let started = Instant::now();
        let Ok(Shown::Changed(got)) = show(source, &known.reality(), false) else {
            panic!("every endpoint is of a pod that is gone");
        };
        let took = started.elapsed();
        assert!(took < Duration::from_secs(15), "{encoding:?} took {took:?}");
        assert!(got == endpoints(10_000, false).encode(encoding), "{encoding:?}");
    }
}
