//! The watch of a scope upstream: what it asks for, what it takes in, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::time::Instant;
use yurthub_object::status::Status;
use yurthub_object::watch::{EventType, FrameDecoder};
use yurthub_object::{Encoding, meta, single};

use super::{FIRST_BACKOFF, ReflectError};
use crate::forward::{Lane, headers};
use crate::mirror::context::Context;
use crate::mirror::key::object_key;
use crate::mirror::listing;
use crate::mirror::scope::{Change, ChangeKind, Scope, State};

/// Largest single event: etcd's limit for an object is 1.5 MiB.
const MAX_FRAME: usize = 16 << 20;
/// How often a scope looks whether it is still wanted.
const WANTED_CHECK: Duration = Duration::from_secs(30);

/// How a watch ended.
pub(super) enum Ended {
    /// By the time that it was asked for.
    InTime,
    /// Before, because the connection was closed in order.
    Early,
    /// The version is too old: a list must be compared.
    Expired,
    /// Nobody wants the scope any more.
    Unwanted,
}

/// Watches until the watch ends. `resumes`: whether the server may be another one than the scope's version came from.
pub(super) async fn watch(
    scope: &Arc<Scope>,
    context: &Context,
    (resumes, backoff): (bool, &mut Duration),
) -> Result<Ended, ReflectError> {
    let lasts = watch_seconds(scope.key.is_single(), fastrand::f64());
    let query = watch_query(scope.key.is_single(), scope.version(), lasts);
    let begun = Instant::now();
    let response = match listing::send(scope, context, Lane::Watch, &scope.key.url(&query)).await {
        Err(ReflectError::Refused(status)) if status.code == 410 => return Ok(Ended::Expired),
        outcome => outcome?,
    };
    let encoding = headers::encoding_of(response.headers());
    let mut decoder = FrameDecoder::new(encoding, MAX_FRAME);
    let mut body = response.into_body();
    scope.admit();
    if resumes {
        // The server is there now: if it has another past, a question from now on tells.
        scope.set_resumption(context.history.resumed());
    }
    scope.end_stand_ins();
    scope.set_state(State::Live);
    *backoff = FIRST_BACKOFF;
    context.replay.scope_is_live(scope);
    let mut check = tokio::time::interval(WANTED_CHECK);
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            () = scope.demanded() => {
                if scope.is_complete() && !scope.is_doubted() { continue }
                // Something here cannot be read any more, or is of a past that the cloud does not have.
                return Ok(Ended::Expired);
            }
            _ = check.tick() => {
                if scope.is_wanted(Instant::now(), context.config.park_after) { continue }
                return Ok(Ended::Unwanted);
            }
        };
        let Some(frame) = frame else {
            let in_time = begun.elapsed() >= Duration::from_secs(lasts);
            return Ok(if in_time { Ended::InTime } else { Ended::Early });
        };
        if let Ok(data) = frame.map_err(ReflectError::Body)?.into_data() {
            decoder.push(data);
            if let Some(ended) = take_events(scope, context, encoding, &mut decoder)? {
                return Ok(ended);
            }
        }
    }
}

/// How long a watch lasts. Pure; `random` is from 0 to 1.
///
/// The server ends each watch after a time of ours, so that not all end at once.
fn watch_seconds(single: bool, random: f64) -> u64 {
    let shortest = if single { 1800.0 } else { 300.0 };
    Duration::from_secs_f64(shortest * (1.0 + random)).as_secs()
}

/// The options of a watch from `version`. Pure.
///
/// A node follows each Secret and
/// ConfigMap of its pods on its own, and a bookmark a minute for each of them was most of what an idle link carried:
/// for single objects there are none, and their watches last longer. Should the version be too old afterwards, the
/// metadata of one object is all that is read again.
fn watch_query(single: bool, version: u64, seconds: u64) -> String {
    format!(
        "watch=true&allowWatchBookmarks={}&resourceVersion={version}&timeoutSeconds={seconds}",
        !single
    )
}

fn take_events(
    scope: &Scope,
    context: &Context,
    encoding: Encoding,
    decoder: &mut FrameDecoder,
) -> Result<Option<Ended>, ReflectError> {
    while let Some(frame) = decoder.next()? {
        if frame.event == EventType::Error {
            let status = Status::decode(encoding, &frame.object)?;
            if status.code == 410 {
                return Ok(Some(Ended::Expired));
            }
            return Err(ReflectError::Refused(Box::new(status)));
        }
        let (_, item) = single::split(encoding, &frame.object)?;
        let key = meta::key(encoding, &item)?;
        let version = key.resource_version;
        context.metrics.events.inc();
        if frame.event == EventType::Bookmark {
            scope.bookmark(version);
            continue;
        }
        let key = object_key(&key.namespace, &key.name);
        // The frame's bytes belong to a larger buffer of the connection, which the store must not keep alive.
        let item = Bytes::copy_from_slice(&item);
        let kind = if frame.event == EventType::Deleted {
            ChangeKind::Gone(item)
        } else {
            ChangeKind::Present(item)
        };
        if let Err(error) = scope.apply(vec![Change { key, version, kind }], version) {
            scope.invalidate();
            return Err(error.into());
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_objects_are_followed_longer_and_without_bookmarks() {
        assert_eq!(
            watch_query(true, 7, watch_seconds(true, 0.5)),
            "watch=true&allowWatchBookmarks=false&resourceVersion=7&timeoutSeconds=2700"
        );
        assert_eq!(
            watch_query(false, 7, watch_seconds(false, 0.0)),
            "watch=true&allowWatchBookmarks=true&resourceVersion=7&timeoutSeconds=300"
        );
    }
}
