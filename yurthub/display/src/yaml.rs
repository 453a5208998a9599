//! JSON as YAML, in the block style that kubectl prints.
//!
//! Text is quoted as in JSON wherever a reader of YAML could take it for something else. Invariant: what is written is
//! read as the same value.

use std::fmt::Write as _;

use serde_json::Value;

/// How deep values may nest; what lies deeper is written as JSON, which is YAML too.
const MAX_DEPTH: usize = 64;

/// A value as a document.
pub fn document(value: &Value) -> String {
    let mut out = String::new();
    put(&mut out, value, 0, false);
    out
}

/// Appends a value that stands on lines of its own, or behind the dash of a list.
fn put(out: &mut String, value: &Value, depth: usize, behind_dash: bool) {
    match value {
        Value::Object(members) if !members.is_empty() && depth < MAX_DEPTH => {
            for (index, (key, value)) in members.iter().enumerate() {
                if index > 0 || !behind_dash {
                    indent(out, depth);
                }
                put_text(out, key);
                out.push(':');
                put_member(out, value, depth);
            }
        }
        Value::Array(elements) if !elements.is_empty() && depth < MAX_DEPTH => {
            for (index, element) in elements.iter().enumerate() {
                if index > 0 || !behind_dash {
                    indent(out, depth);
                }
                out.push_str("- ");
                put(out, element, depth + 1, true);
            }
        }
        Value::String(text) => {
            put_text(out, text);
            out.push('\n');
        }
        other => {
            // Writing to a string does not fail.
            let _written = writeln!(out, "{other}");
        }
    }
}

/// Appends the value of a member, behind its colon.
fn put_member(out: &mut String, value: &Value, depth: usize) {
    let is_block = match value {
        Value::Object(members) => !members.is_empty(),
        Value::Array(elements) => !elements.is_empty(),
        _ => false,
    };
    if !is_block || depth + 1 >= MAX_DEPTH {
        out.push(' ');
        return put(out, value, MAX_DEPTH, true);
    }
    out.push('\n');
    // kubectl does not indent the dashes of a list within a map.
    let deeper = usize::from(value.is_object());
    put(out, value, depth + deeper, false);
}

fn indent(out: &mut String, depth: usize) {
    for _ in 0..depth {
        out.push_str("  ");
    }
}

fn put_text(out: &mut String, text: &str) {
    if is_plain(text) {
        out.push_str(text);
    } else {
        let _written = write!(out, "{}", Value::from(text));
    }
}

/// Whether a text means itself without quotes, for readers of YAML 1.1 and 1.2.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 10] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan"];
    let first = |letter: char| letter.is_ascii_alphabetic() || letter == '/';
    let rest = |letter: char| letter.is_ascii_alphanumeric() || "_-./ ".contains(letter);
    text.starts_with(first)
        && text.chars().all(rest)
        && !text.ends_with(' ')
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_look_as_kubectl_prints_them() {
        let value = json!({
            "kind": "Pod",
            "metadata": {"labels": {}, "name": "web", "uid": "7e5", "on": "yes"},
            "spec": {"containers": [{"args": ["-v", "a b"], "name": "main"}], "none": null, "tolerations": []},
        });
        let expected = "kind: Pod
metadata:
  labels: {}
  name: web
  \"on\": \"yes\"
  uid: \"7e5\"
spec:
  containers:
  - args:
    - \"-v\"
    - a b
    name: main
  none: null
  tolerations: []
";
        assert_eq!(document(&value), expected);
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
            "[a-z0-9:#.-]{0,6}".prop_map(Value::from),
            "(true|No|null|~|1e3|0x1f|- a|a: b|é\n\t|2026-11-21)".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[a-zA-Z0-9/.:~ -]{0,6}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same(value in values()) {
            let text = document(&value);
            let read: Value = serde_yaml::from_str(&text).unwrap();
            prop_assert_eq!(read, value, "{}", text);
        }
    }
}
