//! What selectors select, and when one is certainly broader than another.

#![expect(
    clippy::expect_used,
    reason = "helpers of tests; what they expect is what is tested"
)]

use std::collections::BTreeMap;

use yurthub_request::{FieldSelector, LabelSelector};

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn label(text: &str) -> LabelSelector {
    LabelSelector::parse(text).expect(text)
}

fn field(text: &str) -> FieldSelector {
    FieldSelector::parse(text).expect(text)
}

#[test]
fn label_selectors_match() {
    let object = labels(&[
        ("app", "web"),
        ("tier", ""),
        ("size", "10"),
        ("big", "9223372036854775808"),
    ]);
    let cases = [
        ("", true),
        ("app=web", true),
        ("app==web", true),
        ("app=db", false),
        ("app=", false),
        ("tier=", true),
        ("tier", true),
        ("none=", false),
        ("app!=web", false),
        ("app!=db", true),
        ("none!=x", true),
        ("app in (db,web)", true),
        ("app in (db)", false),
        ("none in ()", false),
        ("tier in ()", true),
        ("app notin (db,web)", false),
        ("app notin (db)", true),
        ("none notin (db)", true),
        ("app", true),
        ("!app", false),
        ("!none", true),
        ("size>9", true),
        ("size>10", false),
        ("size<11", true),
        ("size<10", false),
        ("app>1", false),
        ("none<1", false),
        ("big>1", false),
        ("app=web,size>9", true),
        ("app=web,size>10", false),
        ("app=web,app=db", false),
    ];
    for (text, expected) in cases {
        assert_eq!(label(text).matches(&object), expected, "{text}");
    }
    assert!(label("").is_everything() && !label("a").is_everything());
}

#[test]
fn field_selectors_match_and_admit_what_they_do_not_know() {
    let lookup = |name: &str| match name {
        "metadata.name" => Some("a,b=c"),
        "spec.nodeName" => Some(""),
        _ => None,
    };
    let cases = [
        ("", Some(true)),
        (r"metadata.name=a\,b\=c", Some(true)),
        ("metadata.name=a", Some(false)),
        ("metadata.name!=a", Some(true)),
        ("spec.nodeName=", Some(true)),
        ("spec.nodeName!=", Some(false)),
        ("spec.nodeName=,metadata.name!=x", Some(true)),
        ("status.phase=Running", None),
        ("metadata.name=a,status.phase=Running", None),
    ];
    for (text, expected) in cases {
        assert_eq!(field(text).matches(lookup), expected, "{text}");
    }
    assert_eq!(field("a=b").matches(|_| Some(String::from("b"))), Some(true));
}

#[test]
fn the_exact_value_of_a_field() {
    assert_eq!(field("a=b,c!=d").exact("a"), Some("b"));
    assert_eq!(field("a=b,c!=d").exact("c"), None);
    assert_eq!(field("").exact("a"), None);
    assert_eq!(
        FieldSelector::equals("metadata.name", "x=y").to_string(),
        r"metadata.name=x\=y"
    );
}

#[test]
fn broader_label_selectors() {
    let broader = [
        ("", "a=b"),
        ("a", "a=b"),
        ("a=b", "a==b,c"),
        ("a in (b,c)", "a=b"),
        ("a in (b,c)", "a in (c)"),
        ("a!=x", "a=b"),
        ("a!=x", "!a"),
        ("a!=x", "a notin (x,y)"),
        ("a>1", "a>2"),
        ("a>1", "a=2"),
        ("a<2", "a<2"),
        ("a", "a>1"),
        ("a notin (x,y)", "a in (b,c)"),
    ];
    for (wide, narrow) in broader {
        assert!(label(wide).is_superset_of(&label(narrow)), "{wide} of {narrow}");
    }
    let unknown = [
        ("a=b", ""),
        ("a=b", "a"),
        ("a=b", "a in (b,c)"),
        ("a", "!a"),
        ("a!=x", "a"),
        ("a>2", "a>1"),
        ("a notin (x,y)", "a!=x"),
        ("a=b,c", "a=b"),
    ];
    for (wide, narrow) in unknown {
        assert!(!label(wide).is_superset_of(&label(narrow)), "{wide} of {narrow}");
    }
}

#[test]
fn broader_field_selectors() {
    assert!(field("").is_superset_of(&field("a=b")));
    assert!(field("a=b").is_superset_of(&field("a=b,c!=d")));
    assert!(field("a!=x").is_superset_of(&field("a=b")));
    assert!(!field("a!=b").is_superset_of(&field("a=b")));
    assert!(!field("a=b,c=d").is_superset_of(&field("a=b")));
}
