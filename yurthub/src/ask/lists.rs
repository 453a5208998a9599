//! The answers of `/scopes` and `/journal` as tables. Pure.

use serde_json::Value;
use yurthub_display::age::human;

use super::status::ORDER;
use super::{aligned, list, number, text};

fn heading(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// All scopes, what is wrong first.
pub(super) fn scopes(scopes: &Value, _now: i64) -> String {
    let mut sorted: Vec<&Value> = list(scopes, "").iter().collect();
    let rank = |scope: &Value| ORDER.iter().position(|state| *state == text(scope, "/state"));
    sorted.sort_by_key(|scope| rank(scope));
    let mut rows = vec![heading(&[
        "STATE", "VERSION", "OBJECTS", "LOCAL", "WATCHERS", "FORM", "SCOPE",
    ])];
    for scope in sorted {
        let form = if text(scope, "/encoding").ends_with("json") {
            "json"
        } else {
            "protobuf"
        };
        let message = text(scope, "/message");
        let separator = if message.is_empty() { "" } else { ": " };
        rows.push(vec![
            text(scope, "/state").to_owned(),
            text(scope, "/version").to_owned(),
            number(scope, "/objects").to_string(),
            (number(scope, "/written") + number(scope, "/corrected")).to_string(),
            number(scope, "/watchers").to_string(),
            form.to_owned(),
            format!("{}{separator}{message}", text(scope, "/scope")),
        ]);
    }
    aligned(&rows)
}

/// Statuses and events that wait for the cloud.
pub(super) fn journal(journal: &Value, _now: i64) -> String {
    let age = |entry: &Value| human(number(entry, "/seconds").cast_signed());
    let (statuses, events) = (list(journal, "/statuses"), list(journal, "/events"));
    let mut out = String::new();
    if statuses.is_empty() {
        out.push_str("No status waits for the cloud.\n");
    } else {
        let mut rows = vec![heading(&["STATUS OF", "OBJECT", "WRITTEN"])];
        rows.extend(statuses.iter().map(|entry| {
            vec![
                text(entry, "/resource").to_owned(),
                text(entry, "/object").to_owned(),
                format!("{} ago", age(entry)),
            ]
        }));
        out.push_str(&aligned(&rows));
    }
    out.push('\n');
    if events.is_empty() {
        out.push_str("No event waits for the cloud.\n");
    } else {
        let mut rows = vec![heading(&[
            "EVENT",
            "CAME",
            "NAMESPACE",
            "OBJECT",
            "WRITER",
            "MESSAGE",
        ])];
        rows.extend(events.iter().map(|event| {
            vec![
                text(event, "/reason").to_owned(),
                format!("{} ago", age(event)),
                text(event, "/namespace").to_owned(),
                format!(
                    "{}/{}",
                    text(event, "/kind").to_lowercase(),
                    text(event, "/object")
                ),
                text(event, "/writer").to_owned(),
                text(event, "/message").to_owned(),
            ]
        }));
        out.push_str(&aligned(&rows));
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_comes_first() {
        let answer = json!([
            {"scope": "pods", "state": "live", "version": "7", "objects": 3, "written": 1, "watchers": 2,
                "encoding": "application/vnd.kubernetes.protobuf"},
            {"scope": "secrets", "state": "denied", "version": "0", "encoding": "application/json", "message": "no"},
        ]);
        let text = scopes(&answer, 0);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[0],
            "STATE    VERSION   OBJECTS   LOCAL   WATCHERS   FORM       SCOPE"
        );
        assert_eq!(
            lines[1],
            "denied   0         0         0       0          json       secrets: no"
        );
        assert_eq!(
            lines[2],
            "live     7         3         1       2          protobuf   pods"
        );
    }

    #[test]
    fn the_journal_lists_statuses_and_events() {
        assert_eq!(
            journal(&json!({"statuses": [], "events": []}), 0),
            "No status waits for the cloud.\n\nNo event waits for the cloud.\n"
        );
        let text = journal(
            &json!({
                "statuses": [{"resource": "pods", "object": "shop/web", "seconds": 61}],
                "events": [{"namespace": "shop", "reason": "BackOff", "seconds": 130, "kind": "Pod", "object": "web",
                    "writer": "node", "message": "again\u{1b}"}],
            }),
            0,
        );
        assert!(text.contains("pods        shop/web   61s ago\n"), "{text}");
        assert!(
            text.contains("BackOff   2m10s ago   shop        pod/web   node     again?\n"),
            "{text}"
        );
    }
}
