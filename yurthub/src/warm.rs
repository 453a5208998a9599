//! Makes the mirror ready for a kubelet that is not its client yet: everything that it will ask for at its start is
//! followed or remembered before, so that the kubelet moves here without a gap.
//!
//! `wanted` says what that is (pure); here it is brought about, by the way that the kubelet's own requests take, so that
//! they find these very scopes. Invariant: bounded by a deadline and by a number of requests; nothing is written.

mod wanted;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};
use yurthub_request::{Invalid, Request};

use crate::forward::exchange::get;
use crate::health::CloudState;
use crate::identity::{Client, Identity};
use crate::mirror::Patience;
use crate::mirror::form::readable;
use crate::mirror::scope::{Scope, State};
use crate::mirror::survey;
use crate::proxy::{Hub, Waiting};
use crate::remembered::{MAX_ANSWER, Question};
use crate::response::Failure;
use crate::telemetry::ErrorChain;
use wanted::{How, Wanted};

/// How long it takes at most where nothing else is said.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// The longest time that may be given.
pub const LONGEST: Duration = Duration::from_mins(10);

/// How long the query of a question allows; `None` where it makes no sense.
pub fn patience(query: Option<&str>) -> Option<Duration> {
    let given = query.unwrap_or_default();
    let Some(seconds) = given.strip_prefix("timeoutSeconds=") else {
        return given.is_empty().then_some(PATIENCE);
    };
    let time = Duration::from_secs(seconds.parse().ok()?);
    (Duration::from_secs(1)..=LONGEST).contains(&time).then_some(time)
}

/// Requests under way at a time.
const PARALLEL: usize = 16;
/// Between two attempts at the same thing.
const AGAIN: Duration = Duration::from_millis(500);

/// What became of what was wanted.
#[derive(Debug, Default)]
pub struct Report {
    /// What the kubelet will find live, and how many objects that is.
    live: Vec<(String, usize)>,
    /// What pods name and the cloud does not have or does not give: the kubelet will be told the same.
    absent: Vec<(String, String)>,
    /// What the kubelet would have to wait for, and why.
    missing: Vec<(String, String)>,
}

/// What became of one request.
enum Outcome {
    Live(usize),
    Absent(String),
    Missing(String),
    /// Not yet; perhaps in a moment.
    Later(String),
}

impl Report {
    /// Whether a kubelet would wait for nothing.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// As the admin socket says it.
    pub fn json(&self, took: Duration) -> Value {
        let reasons = |of: &[(String, String)]| -> Vec<Value> {
            let reason = |(what, reason): &(String, String)| json!({"what": what, "reason": reason});
            of.iter().map(reason).collect()
        };
        let live = self.live.iter();
        let live: Vec<_> = live
            .map(|(what, objects)| json!({"what": what, "objects": objects}))
            .collect();
        json!({
            "complete": self.is_complete(),
            "seconds": took.as_secs_f64(),
            "live": live,
            "absent": reasons(&self.absent),
            "missing": reasons(&self.missing),
        })
    }

    fn take(&mut self, what: String, outcome: Outcome) {
        match outcome {
            Outcome::Live(objects) => self.live.push((what, objects)),
            Outcome::Absent(reason) => self.absent.push((what, reason)),
            Outcome::Missing(reason) | Outcome::Later(reason) => self.missing.push((what, reason)),
        }
    }
}

/// Follows and reads what this node's kubelet will ask for, and returns when it has all come, or after `patience`.
pub async fn run(hub: &Hub, patience: Duration) -> Report {
    let deadline = Instant::now() + patience.min(LONGEST);
    let mut report = Report::default();
    let mut cloud = hub.cloud.subscribe();
    // Just after the start nobody knows yet.
    drop(timeout_at(deadline, cloud.wait_for(CloudState::reachable)).await);
    let pods = wanted::pods_of(&hub.node);
    let of_pods = async {
        let (what, outcome) = attend(hub, pods.clone(), deadline).await;
        let is_live = matches!(outcome, Outcome::Live(_));
        let mut report = Report::default();
        report.take(what, outcome);
        if is_live {
            match names_in(hub, &pods).await {
                Ok((wanted, left_out)) => {
                    if left_out > 0 {
                        let reason = format!("{left_out} more are named than are looked after at a time");
                        report.missing.push(("what pods name".to_owned(), reason));
                    }
                    attend_all(hub, wanted, deadline, &mut report).await;
                }
                Err(reason) => report.missing.push(("what pods name".to_owned(), reason)),
            }
        }
        report
    };
    let of_node = attend_all(hub, wanted::of_node(&hub.node), deadline, &mut report);
    let (of_pods, ()) = tokio::join!(of_pods, of_node);
    report.live.extend(of_pods.live);
    report.absent.extend(of_pods.absent);
    report.missing.extend(of_pods.missing);
    info!(
        live = report.live.len(),
        absent = report.absent.len(),
        missing = report.missing.len(),
        "the mirror was made ready for the kubelet"
    );
    report
}

async fn attend_all(hub: &Hub, wanted: Vec<Wanted>, deadline: Instant, report: &mut Report) {
    let mut outcomes = stream::iter(wanted)
        .map(|wanted| attend(hub, wanted, deadline))
        .buffer_unordered(PARALLEL);
    while let Some((what, outcome)) = outcomes.next().await {
        report.take(what, outcome);
    }
}

/// Brings one thing about, with as many attempts as there is time for. Returns what it is, for people.
async fn attend(hub: &Hub, wanted: Wanted, deadline: Instant) -> (String, Outcome) {
    let request = match parse(&wanted) {
        Ok(parsed) => parsed,
        Err(invalid) => return (wanted.uri, Outcome::Missing(invalid.to_string())),
    };
    let what = match wanted.how {
        How::Follow => key_of(hub, &request).unwrap_or_else(|| wanted.uri.clone()),
        How::Read => request.path().to_owned(),
    };
    loop {
        let outcome = match wanted.how {
            How::Follow => follow(hub, &request, wanted.optional, deadline).await,
            How::Read => match timeout_at(deadline, read(hub, &request, &wanted.uri)).await {
                Ok(outcome) => outcome,
                Err(_) => Outcome::Missing("the apiserver did not answer in time".to_owned()),
            },
        };
        if !matches!(outcome, Outcome::Later(_)) || Instant::now() + AGAIN >= deadline {
            return (what, outcome);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// The kubelet's request, understood.
fn parse(wanted: &Wanted) -> Result<Request, Invalid> {
    let http = get(&wanted.uri, wanted::ACCEPT);
    Request::parse(&Method::GET, http.uri(), http.headers())
}

fn key_of(hub: &Hub, request: &Request) -> Option<String> {
    hub.key_for(&Client::Node, request).map(|key| key.describe())
}

async fn follow(hub: &Hub, request: &Request, optional: bool, deadline: Instant) -> Outcome {
    let rest = deadline.saturating_duration_since(Instant::now());
    let waiting = Waiting {
        patience: Patience {
            silence: rest,
            most: rest,
        },
        catch_up: rest,
    };
    let found = hub.scope_for((&Identity::Node, request), hub.cloud.state(), waiting);
    match found.await {
        Ok((scope, _)) => of_scope(&scope, optional),
        Err(Failure::Denied(status)) if optional => Outcome::Absent(status.message),
        Err(Failure::Denied(status)) => Outcome::Missing(format!("the cloud denies it: {}", status.message)),
        Err(Failure::Bound(reason)) => Outcome::Missing(reason),
        Err(Failure::Syncing) => Outcome::Later("its first list has not come yet".to_owned()),
        Err(_) => Outcome::Later("the cloud is away".to_owned()),
    }
}

fn of_scope(scope: &Scope, optional: bool) -> Outcome {
    match (scope.state(), scope.figures().objects) {
        (State::Live, 0) if optional => Outcome::Absent("the cloud has no such object".to_owned()),
        (State::Live, objects) => Outcome::Live(objects),
        (state, _) => Outcome::Later(format!("it is {}, not live", state.as_str())),
    }
}

/// Reads an object and keeps the answer for the same question of the kubelet.
async fn read(hub: &Hub, request: &Request, uri: &str) -> Outcome {
    let http = get(uri, wanted::ACCEPT);
    let question = Question::of(&Client::Node, request, http.headers());
    let (parts, body) = match hub.upstream.exchange(http, MAX_ANSWER).await {
        Ok(response) => response.into_parts(),
        Err(error) => return Outcome::Later(ErrorChain(&error).to_string()),
    };
    match parts.status {
        StatusCode::OK => {
            hub.remembered.keep(&question, &parts.headers, &body);
            Outcome::Live(1)
        }
        StatusCode::NOT_FOUND => {
            hub.remembered.forget(&question);
            Outcome::Absent("the cloud has no such object".to_owned())
        }
        status if status.is_client_error() => Outcome::Missing(format!("the apiserver answered {status}")),
        status => Outcome::Later(format!("the apiserver answered {status}")),
    }
}

/// What the pods in the mirror name.
async fn names_in(hub: &Hub, pods: &Wanted) -> Result<(Vec<Wanted>, usize), String> {
    let request = parse(pods).map_err(|invalid| invalid.to_string())?;
    let key = hub.key_for(&Client::Node, &request);
    let Some(scope) = key.and_then(|key| hub.mirror.find(&key)) else {
        return Err("the pods of this node are not mirrored".to_owned());
    };
    let read = move || pods_in(&scope);
    let read = tokio::task::spawn_blocking(read).await;
    let (pods, left_out) = read
        .map_err(|error| error.to_string())?
        .map_err(|error| format!("failed to read the pods of this node: {error}"))?;
    let (wanted, beyond) = wanted::of_pods(&pods);
    if left_out > 0 {
        return Err(format!("{left_out} pods of this node are not looked into"));
    }
    Ok((wanted, beyond))
}

/// The pods as JSON, and how many could not be looked into. Blocks on the store.
fn pods_in(scope: &Arc<Scope>) -> Result<(Vec<Value>, usize), yurthub_store::StoreError> {
    let survey = survey::of(vec![Arc::clone(scope)], &survey::Wanted::default())?;
    let (mut pods, mut left_out) = (Vec::new(), survey.left_out);
    for sighting in &survey.found {
        let json = readable(&sighting.wire, &sighting.item).ok();
        if let Some(pod) = json.and_then(|json| serde_json::from_slice(&json).ok()) {
            pods.push(pod);
        } else {
            warn!("a pod of this node cannot be read");
            left_out += 1;
        }
    }
    Ok((pods, left_out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_is_given_has_bounds() {
        for (query, expected) in [
            (None, Some(60)),
            (Some(""), Some(60)),
            (Some("timeoutSeconds=5"), Some(5)),
            (Some("timeoutSeconds=600"), Some(600)),
            (Some("timeoutSeconds=601"), None),
            (Some("timeoutSeconds=0"), None),
            (Some("timeoutSeconds=x"), None),
            (Some("other=5"), None),
        ] {
            assert_eq!(patience(query), expected.map(Duration::from_secs), "{query:?}");
        }
    }
}
