//! Sends journaled events when the cloud has returned: slowly, after the statuses, each until the cloud has answered.
//!
//! An event keeps its name over attempts, so that one that was sent twice is there once. Where the cloud has an event
//! of that name already, a JSON patch that begins with tests tells whether it is the same, and brings its count up to
//! date.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use tokio::time::Instant;
use tracing::{debug, info, warn};
use yurthub_object::Encoding;
use yurthub_object::status::Status;

use super::verdict::{Amended, Outcome, Verdict, judge, judge_amendment};
use super::{Entry, Events, Head};
use crate::forward::{Lane, Upstream, collect, full_body};
use crate::health::{CloudState, Monitor};
use crate::identity::{AccountTokens, Client, Identity};
use crate::mirror::Mirror;
use crate::telemetry::ErrorChain;

/// How long statuses may hold up events.
const STATUSES_FIRST: Duration = Duration::from_secs(10);
/// How often is looked whether statuses are through.
const LOOK: Duration = Duration::from_millis(200);
/// Longest an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Largest answer that is read.
const MAX_ANSWER: usize = 1 << 20;
/// Pauses after failures: the first, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How long, with the cloud there, an account's events wait for a token of it.
const TOKEN_PATIENCE: Duration = Duration::from_mins(10);
/// Requests for one event in one attempt.
const STEPS: usize = 5;

/// Sends events whenever the cloud is there.
pub struct EventReplay {
    /// The events.
    pub events: Arc<Events>,
    /// Shows which statuses are still to be sent.
    pub mirror: Arc<Mirror>,
    /// The way to the apiserver.
    pub upstream: Arc<Upstream>,
    /// Whether it is there.
    pub cloud: Arc<Monitor>,
    /// By what the events of accounts are sent.
    pub tokens: Arc<AccountTokens>,
    /// Events a second.
    pub rate: u32,
}

impl EventReplay {
    /// Runs until cancelled.
    pub async fn run(self) {
        let mut cloud = self.cloud.subscribe();
        let mut round = Round::new(self.rate);
        loop {
            if cloud.wait_for(CloudState::reachable).await.is_err() {
                return;
            }
            self.statuses_first().await;
            let left = self.send_all(&mut round).await;
            tokio::select! {
                () = self.events.grew.notified() => {}
                _ = cloud.changed() => {}
                () = tokio::time::sleep(round.backoff), if left => {}
            }
        }
    }

    /// Waits, for a bounded time, until what the kubelet wrote of its node and pods is in the cloud.
    async fn statuses_first(&self) {
        let end = Instant::now() + STATUSES_FIRST;
        let waiting = || {
            self.mirror
                .scopes()
                .iter()
                .any(|scope| scope.figures().written > 0)
        };
        while self.events.size().0 > 0 && waiting() && Instant::now() < end {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Returns whether some are left.
    async fn send_all(&self, round: &mut Round) -> bool {
        let mut left = false;
        for sequence in self.events.sequences() {
            if !self.cloud.state().reachable() {
                return true;
            }
            let Some(client) = self.events.writer(sequence) else {
                continue;
            };
            let Some(authorization) = self.authorization(&client) else {
                left |= !self.give_up_without_token(sequence, &client, round);
                continue;
            };
            round.pace.tick().await;
            let Some((entry, revision)) = self.events.next(sequence) else {
                continue;
            };
            let outcome = match self
                .send(sequence, (entry.clone(), revision), authorization)
                .await
            {
                Ok(Sent::Outcome(outcome, revision)) => {
                    self.settled(sequence, &entry.head, outcome, revision);
                    outcome
                }
                Ok(Sent::WantsToken) if client != Client::Node => {
                    left |= !self.give_up_without_token(sequence, &client, round);
                    continue;
                }
                Ok(Sent::WantsToken) => Outcome::Later,
                Err(error) => {
                    debug!(event = entry.head.name, error, "failed to send a journaled event");
                    Outcome::Later
                }
            };
            self.events.metrics.count(outcome);
            if outcome == Outcome::Later {
                left = true;
                tokio::time::sleep(round.failed()).await;
            } else {
                round.went_well(&client);
            }
        }
        // What was written again while it was sent.
        left || self.events.size().0 > 0
    }

    /// `None`: an account of which no token has been seen. The inner `None`: the node, whose connection speaks for it.
    #[expect(clippy::option_option, reason = "two different absences, each used once")]
    fn authorization(&self, client: &Client) -> Option<Option<HeaderValue>> {
        match client {
            Client::Account { .. } => self.tokens.of(client).map(Some),
            Client::Node | Client::Shared => Some(None),
        }
    }

    /// Returns whether the event was dropped.
    fn give_up_without_token(&self, sequence: u64, client: &Client, round: &mut Round) -> bool {
        let since = *round.waiting.entry(client.clone()).or_insert_with(Instant::now);
        if since.elapsed() < TOKEN_PATIENCE {
            return false;
        }
        let Some((entry, _)) = self.events.next(sequence) else {
            return true;
        };
        self.events.metrics.count(Outcome::NoToken);
        self.settled(sequence, &entry.head, Outcome::NoToken, None);
        true
    }

    fn settled(&self, sequence: u64, head: &Head, outcome: Outcome, revision: Option<u64>) {
        let (event, namespace) = (&head.name, &head.namespace);
        match outcome {
            Outcome::Later => return,
            Outcome::Sent | Outcome::Amended => {
                debug!(
                    event,
                    namespace,
                    outcome = outcome.as_str(),
                    "the cloud has a journaled event"
                );
            }
            _ => info!(
                event,
                namespace,
                writer = %head.client,
                outcome = outcome.as_str(),
                "dropping a journaled event"
            ),
        }
        if let Err(error) = self.events.finish(sequence, revision) {
            warn!(event, error = %ErrorChain(&error), "failed to forget an event; it will be compared again");
        }
    }

    /// One attempt at one event.
    async fn send(
        &self,
        sequence: u64,
        (mut entry, mut revision): (Entry, u64),
        authorization: Option<HeaderValue>,
    ) -> Result<Sent, String> {
        for _ in 0..STEPS {
            let encoding = entry.head.encoding();
            let (status, body) = self
                .exchange(
                    (Method::POST, entry.head.collection(), encoding.content_type()),
                    entry.upstream().map_err(|error| ErrorChain(&error).to_string())?,
                    (encoding, authorization.clone()),
                )
                .await?;
            let says = Status::decode(encoding, &body).unwrap_or_default();
            match judge(status, &says) {
                Verdict::WantsToken => return Ok(Sent::WantsToken),
                Verdict::Ends(outcome) => {
                    if !says.message.is_empty() {
                        debug!(
                            event = entry.head.name,
                            answer = says.message,
                            "a journaled event was answered"
                        );
                    }
                    return Ok(Sent::Outcome(outcome, Some(revision)));
                }
                Verdict::Exists => {}
            }
            let amendment = entry
                .amendment()
                .map_err(|error| ErrorChain(&error).to_string())?;
            let (status, _) = self
                .exchange(
                    (Method::PATCH, entry.head.path(), "application/json-patch+json"),
                    amendment.to_string().into(),
                    (encoding, authorization.clone()),
                )
                .await?;
            match judge_amendment(status) {
                Amended::Same => return Ok(Sent::Outcome(Outcome::Amended, Some(revision))),
                Amended::Other if entry.head.sent_as.is_some() => {
                    return Ok(Sent::Outcome(Outcome::Invalid, Some(revision)));
                }
                Amended::Other => {
                    let renamed = self.events.rename(sequence).await;
                    match renamed.map_err(|error| ErrorChain(&error).to_string())? {
                        Some(renamed) => (entry, revision) = renamed,
                        None => return Ok(Sent::Outcome(Outcome::Later, None)),
                    }
                }
                // It has run out in between (404), or the cloud is not well.
                Amended::Later if status == StatusCode::NOT_FOUND => {}
                Amended::Later => return Ok(Sent::Outcome(Outcome::Later, None)),
            }
        }
        Ok(Sent::Outcome(Outcome::Later, None))
    }

    async fn exchange(
        &self,
        (method, path, content_type): (Method, String, &'static str),
        body: Bytes,
        (accept, authorization): (Encoding, Option<HeaderValue>),
    ) -> Result<(StatusCode, Bytes), String> {
        let mut request = Request::new(full_body(body));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(|_| format!("`{path}` is no path"))?;
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept.content_type()));
        let name = HeaderValue::from_static(crate::mirror::USER_AGENT);
        headers.insert(header::USER_AGENT, name);
        let identity = match authorization {
            Some(authorization) => {
                headers.insert(header::AUTHORIZATION, authorization);
                Identity::Bearer
            }
            None => Identity::Node,
        };
        let exchange = async {
            let response = self.upstream.send(&identity, Lane::Request, request).await;
            let response = response.map_err(|error| ErrorChain(&error).to_string())?;
            let status = response.status();
            let body = collect(response.into_body(), MAX_ANSWER).await;
            Ok((status, body.map_err(|error| error.to_string())?))
        };
        tokio::time::timeout(ANSWER_WITHIN, exchange)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {ANSWER_WITHIN:?}")))
    }
}

/// What one attempt came to. With an outcome comes the state of the event that was sent.
enum Sent {
    Outcome(Outcome, Option<u64>),
    WantsToken,
}

/// What lasts from event to event.
struct Round {
    pace: tokio::time::Interval,
    backoff: Duration,
    /// Since when accounts have had no token.
    waiting: HashMap<Client, Instant>,
}

impl Round {
    fn new(rate: u32) -> Self {
        let mut pace = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Self {
            pace,
            backoff: BACKOFF.0,
            waiting: HashMap::new(),
        }
    }

    /// The pause to take now.
    fn failed(&mut self) -> Duration {
        let pause = self.backoff;
        self.backoff = (pause * 2).min(BACKOFF.1);
        pause
    }

    fn went_well(&mut self, client: &Client) {
        self.backoff = BACKOFF.0;
        self.waiting.remove(client);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_with_failures_and_end_with_success() {
        let mut round = Round::new(5);
        let pauses: Vec<_> = (0..7).map(|_| round.failed().as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
        round.went_well(&Client::Node);
        assert_eq!(round.failed().as_secs(), 1);
    }
}
