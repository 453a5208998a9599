//! The answer of `/status` in words: what a tired operator needs first. Pure.

use serde_json::Value;
use yurthub_display::age::human;

use super::{Exit, aligned, bytes, list, number, shown, text as text_at};

/// States from what is most wrong to what is as it should be.
pub(super) const ORDER: [&str; 7] = [
    "denied",
    "syncing",
    "relisting",
    "resuming",
    "detached",
    "live",
    "parked",
];

pub(super) fn exit(status: &Value) -> Exit {
    let is = |pointer: &str| status.pointer(pointer) == Some(&Value::Bool(true));
    match (is("/ready"), is("/cloud/reachable")) {
        (false, _) => Exit::NoAnswer,
        (true, true) => Exit::Fine,
        (true, false) => Exit::CloudAway,
    }
}

/// The answer says all times itself.
pub(super) fn text(status: &Value, _now: i64) -> String {
    let mut rows = vec![
        row("yurthub", &itself(status)),
        row("cloud", &cloud(status)),
        row("scopes", &scopes(status)),
    ];
    for trouble in list(status, "/troubled") {
        let message = text_at(trouble, "/message");
        let message = if message.is_empty() {
            String::new()
        } else {
            format!(": {message}")
        };
        let line = format!(
            "{}: {}{message}",
            text_at(trouble, "/state"),
            text_at(trouble, "/scope")
        );
        rows.push(row("", &shown(&line)));
    }
    let held = format!(
        "{} held, {} watchers on this node",
        number(status, "/objects"),
        number(status, "/watchers")
    );
    rows.extend([
        row("objects", &held),
        row("statuses", &waiting(status, "/statuses")),
        row("events", &waiting(status, "/events")),
        row("store", &store(status)),
        row("pods", filters(status)),
    ]);
    rows.extend(pool(status));
    aligned(&rows)
}

fn row(name: &str, value: &str) -> Vec<String> {
    vec![name.to_owned(), value.to_owned()]
}

fn itself(status: &Value) -> String {
    let uptime = human(number(status, "/uptimeSeconds").cast_signed());
    let ready = if exit(status) == Exit::NoAnswer {
        "; does not serve yet"
    } else {
        ""
    };
    format!(
        "{} on {}, up for {uptime}{ready}",
        text_at(status, "/version"),
        text_at(status, "/node")
    )
}

fn cloud(status: &Value) -> String {
    let phase = match text_at(status, "/cloud/phase") {
        "up" => "there",
        "suspect" => "IN DOUBT",
        "down" => "AWAY",
        _ => "NOT KNOWN YET",
    };
    let since = text_at(status, "/cloud/since");
    let seconds = human(number(status, "/cloud/seconds").cast_signed());
    format!(
        "{phase} for {seconds}, since {since}; {}",
        text_at(status, "/cloud/server")
    )
}

fn scopes(status: &Value) -> String {
    let states = ORDER.iter().filter_map(|state| {
        let count = number(status, &format!("/scopes/{state}"));
        (count > 0).then(|| format!("{count} {state}"))
    });
    let states: Vec<_> = states.collect();
    if states.is_empty() {
        "none: no client of this node has followed anything yet".to_owned()
    } else {
        states.join(", ")
    }
}

fn waiting(status: &Value, what: &str) -> String {
    let at = |name: &str| format!("{what}/{name}");
    match number(status, &at("waiting")) {
        0 => "none waits for the cloud".to_owned(),
        count => {
            let oldest = human(number(status, &at("oldestSeconds")).cast_signed());
            let verb = if count == 1 { "waits" } else { "wait" };
            format!("{count} {verb} for the cloud, the oldest for {oldest}")
        }
    }
}

fn store(status: &Value) -> String {
    let size = |name: &str| bytes(number(status, &format!("/store/{name}")));
    let mut line = format!("{} of {}", size("bytes"), size("quotaBytes"));
    let is = |name: &str| status.pointer(&format!("/store/{name}")) == Some(&Value::Bool(true));
    if is("failing") {
        line.push_str("; NOTHING REACHES THE DISK: ");
        line.push_str(&shown(text_at(status, "/store/lastError")));
    }
    if is("damaged") {
        line.push_str("; DAMAGED, rebuilt at the next start with the cloud there");
    }
    match number(status, "/store/corrupt") {
        0 => line,
        count => format!("{line}; {count} values could not be read"),
    }
}

fn filters(status: &Value) -> &'static str {
    let is = |name: &str| status.pointer(&format!("/filters/{name}")) == Some(&Value::Bool(true));
    match (is("wanted"), is("armed")) {
        (false, _) => "not led to yurthub: not configured",
        (true, false) => "not led to yurthub yet: some do not trust its CA",
        (true, true) => "new containers are led to yurthub",
    }
}

/// Nothing where the node is in no pool.
fn pool(status: &Value) -> Vec<Vec<String>> {
    let name = text_at(status, "/pool/name");
    if name.is_empty() {
        return vec![];
    }
    let members = number(status, "/pool/members");
    let mut line = format!("{}, {members} probe each other", shown(name));
    if text_at(status, "/pool/listening").is_empty() {
        line.push_str("; this node takes no part");
    }
    let mut rows = vec![row("pool", &line)];
    let peers = status.pointer("/pool/peers").and_then(Value::as_object);
    for (node, standing) in peers.into_iter().flatten() {
        let vote = text_at(status, &format!("/pool/votes/{node}"));
        let vote = match vote {
            "" => String::new(),
            vote => format!(
                ", {} to this node while the cloud does not hear of it",
                shown(vote)
            ),
        };
        let standing = shown(standing.as_str().unwrap_or_default());
        rows.push(row("", &format!("{}: {standing}{vote}", shown(node))));
    }
    let kept = list(status, "/pool/kept");
    let kept: Vec<_> = kept.iter().filter_map(Value::as_str).map(shown).collect();
    if !kept.is_empty() {
        rows.push(row(
            "",
            &format!(
                "endpoints kept though the cloud does not hear of them: {}",
                kept.join(", ")
            ),
        ));
    }
    rows
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status() -> Value {
        json!({
            "node": "edge1", "version": "0.1.0", "uptimeSeconds": 11_220, "ready": true,
            "cloud": {"phase": "down", "reachable": false, "since": "2026-11-21T14:03:11Z", "seconds": 252,
                "server": "10.0.0.1:6443"},
            "scopes": {"live": 1, "detached": 30, "denied": 1},
            "troubled": [{"scope": "secrets in default [metadata.name=x]", "state": "denied", "message": "no \u{7}right"}],
            "objects": 112, "watchers": 14,
            "statuses": {"waiting": 3, "oldestSeconds": 130},
            "events": {"waiting": 1, "bytes": 300, "oldestSeconds": 5},
            "store": {"bytes": 3 << 20, "quotaBytes": 512 << 20, "failing": true, "lastError": "disk full", "corrupt": 2},
            "filters": {"wanted": true, "armed": true},
        })
    }

    #[test]
    fn a_cut_off_node_says_so_first() {
        let expected = "yurthub    0.1.0 on edge1, up for 3h7m
cloud      AWAY for 4m12s, since 2026-11-21T14:03:11Z; 10.0.0.1:6443
scopes     1 denied, 30 detached, 1 live
           denied: secrets in default [metadata.name=x]: no ?right
objects    112 held, 14 watchers on this node
statuses   3 wait for the cloud, the oldest for 2m10s
events     1 waits for the cloud, the oldest for 5s
store      3.0 MiB of 512.0 MiB; NOTHING REACHES THE DISK: disk full; 2 values could not be read
pods       new containers are led to yurthub
";
        assert_eq!(text(&status(), 0), expected);
    }

    #[test]
    fn a_member_of_a_pool_says_whom_it_sees() {
        let mut status = status();
        status["pool"] = json!({
            "name": "shop", "members": 4, "listening": "10.0.0.1:10269",
            "peers": {"edge2": "answering", "edge3": "lost"}, "votes": {"edge2": "alive"}, "silent": ["edge2"], "kept": ["edge2"],
        });
        let told = text(&status, 0);
        let expected = "pool       shop, 4 probe each other
           edge2: answering, alive to this node while the cloud does not hear of it
           edge3: lost
           endpoints kept though the cloud does not hear of them: edge2
";
        assert!(told.ends_with(expected), "{told}");
        status["pool"] = json!({"name": "shop", "members": 0, "peers": {}, "kept": []});
        let told = text(&status, 0);
        assert!(
            told.ends_with("pool       shop, 0 probe each other; this node takes no part\n"),
            "{told}"
        );
    }

    #[test]
    fn scripts_can_tell_by_the_exit_code() {
        let mut status = status();
        assert_eq!(exit(&status), Exit::CloudAway);
        status["cloud"]["reachable"] = true.into();
        assert_eq!(exit(&status), Exit::Fine);
        status["ready"] = false.into();
        assert_eq!(exit(&status), Exit::NoAnswer);
        assert_eq!(exit(&json!({})), Exit::NoAnswer);
        assert!(!text(&json!(null), 0).is_empty());
    }
}
