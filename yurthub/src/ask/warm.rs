//! The answer of `/warm` in words: what is not live first, because that is what one has to look at. Pure.

use serde_json::Value;

use super::{Exit, aligned, list, text as text_at};

pub(super) fn exit(answer: &Value) -> Exit {
    match answer.pointer("/complete") {
        Some(Value::Bool(true)) => Exit::Fine,
        _ => Exit::Failed,
    }
}

pub(super) fn text(answer: &Value, _now: i64) -> String {
    let seconds = answer.pointer("/seconds").and_then(Value::as_f64);
    let (live, absent, missing) = (
        list(answer, "/live"),
        list(answer, "/absent"),
        list(answer, "/missing"),
    );
    let mut rows = Vec::new();
    for (name, found) in [("missing", missing), ("absent", absent)] {
        rows.extend(found.iter().map(|entry| {
            let said = format!("{}: {}", text_at(entry, "/what"), text_at(entry, "/reason"));
            vec![name.to_owned(), said]
        }));
    }
    format!(
        "{}{} live, {} absent, {} missing, after {:.1} s\n",
        aligned(&rows),
        live.len(),
        absent.len(),
        missing.len(),
        seconds.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_missing_comes_first_and_fails() {
        let mut answer = json!({
            "complete": false, "seconds": 1.25,
            "live": [{"what": "pods", "objects": 2}],
            "absent": [{"what": "secrets in shop [metadata.name=s]", "reason": "the cloud has no such object"}],
            "missing": [{"what": "services", "reason": "the cloud is away"}],
        });
        assert_eq!(
            text(&answer, 0),
            "missing   services: the cloud is away\n\
             absent    secrets in shop [metadata.name=s]: the cloud has no such object\n\
             1 live, 1 absent, 1 missing, after 1.2 s\n"
        );
        assert_eq!(exit(&answer), Exit::Failed);
        answer["complete"] = true.into();
        assert_eq!(exit(&answer), Exit::Fine);
        assert_eq!(exit(&json!({})), Exit::Failed);
    }
}
