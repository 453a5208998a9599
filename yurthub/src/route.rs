//! Decides who answers a request: the mirror, the cloud, or what this node can say while the cloud is away. Pure.
//!
//! The rules for versions are the apiserver's (<https://kubernetes.io/docs/reference/using-api/api-concepts/>,
//! "Resource versions"); what deviates is written where it stands.

mod kinds;
#[cfg(test)]
mod tests;

use yurthub_request::{Match, Media, Request, ResourceVersion, Shape, Verb};

pub use kinds::{Refusal, Route, Why};

use crate::identity::Identity;
use crate::mirror::form::Form;
use crate::mirror::ring::FIRST_OVERLAY_VERSION;
use crate::offline::write::{self, WriteClass};

/// What the decision depends on beside the request.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// Name of this node.
    pub node: &'a str,
    /// Whether the client asks in the name of somebody else, which only the cloud can allow.
    pub impersonates: bool,
    /// Whether requests can be sent to the cloud.
    pub cloud_reachable: bool,
    /// The version of the mirror's scope for this very list or object, where it has everything.
    pub mirrored: Option<u64>,
    /// Whether this node's kubelet wrote the object and the cloud does not have that yet.
    pub journaled: bool,
}

/// Decides.
pub fn decide(request: &Request, identity: &Identity, situation: Situation<'_>) -> (Route, Why) {
    let decision = decide_any(request, identity, situation);
    let forwarded = matches!(
        decision.0,
        Route::Forward | Route::ForwardRemember | Route::Refuse(Refusal::AheadOfMirror)
    );
    // Versions that this node gave out mean nothing to the cloud.
    match request.query.resource_version {
        ResourceVersion::At(version) if version >= FIRST_OVERLAY_VERSION && forwarded => {
            (Route::Refuse(Refusal::SnapshotGone), Why::OwnWrite)
        }
        _ => decision,
    }
}

/// Whether the apiserver is asked to say what is wrong with a request that is wrong by itself: while it is there, and
/// unless the query may hold a version of this node's own.
pub fn decide_malformed(query: Option<&str>, cloud_reachable: bool) -> Option<(Route, Why)> {
    let own_version = |text: &str| {
        text.parse()
            .is_ok_and(|version: u64| version >= FIRST_OVERLAY_VERSION)
    };
    let mut numbers = query
        .unwrap_or_default()
        .split(|letter: char| !letter.is_ascii_digit());
    (cloud_reachable && !numbers.any(own_version)).then_some((Route::Forward, Why::Malformed))
}

fn decide_any(request: &Request, identity: &Identity, situation: Situation<'_>) -> (Route, Why) {
    if *identity == Identity::Bearer {
        return away_or(situation, Refusal::TokenNeedsCloud, (Route::Forward, Why::Bearer));
    }
    if situation.impersonates {
        return away_or(
            situation,
            Refusal::NeedsCloud,
            (Route::Forward, Why::Impersonation),
        );
    }
    let Some(path) = request.resource() else {
        let route = if request.is_discovery() && request.method == http::Method::GET {
            Route::ForwardRemember
        } else {
            Route::Forward
        };
        return read_or_forward(situation, route, Why::NotMirrored);
    };
    if write::is_write(request) {
        return decide_write(request, identity, situation);
    }
    if path.subresource.is_some() || request.upgrade {
        return away_or(situation, Refusal::NeedsCloud, (Route::Forward, Why::NotMirrored));
    }
    match request.verb {
        Verb::Watch => decide_watch(request, situation),
        Verb::List => decide_list(request, situation),
        Verb::Get => decide_get(request, situation),
        _ => away_or(situation, Refusal::NeedsCloud, (Route::Forward, Why::NotMirrored)),
    }
}

fn decide_write(request: &Request, identity: &Identity, situation: Situation<'_>) -> (Route, Why) {
    let class = match identity {
        Identity::Node => write::class(request, situation.node),
        Identity::Account(_) => write::class_of_account(request),
        Identity::Bearer => WriteClass::Other,
    };
    match (class, situation.cloud_reachable) {
        (WriteClass::Other | WriteClass::MirrorPod, true) => (Route::Forward, Why::Write),
        (WriteClass::Other, false) => (Route::Refuse(Refusal::NeedsCloud), Why::CloudAway),
        // What is still to be replayed must not be overtaken.
        (class, true) if situation.journaled => (Route::OfflineWrite(class), Why::OwnWrite),
        (class, true) => (Route::ForwardWrite(class), Why::Write),
        (class, false) => (Route::OfflineWrite(class), Why::CloudAway),
    }
}

fn decide_watch(request: &Request, situation: Situation<'_>) -> (Route, Why) {
    if is_plain(request) {
        (Route::MirrorWatch, Why::Watch)
    } else if !situation.cloud_reachable && !Form::preferred_metadata(&request.accept).is_empty() {
        (Route::OfflineWatch, Why::CloudAway)
    } else {
        away_or(situation, Refusal::NeedsCloud, (Route::Forward, Why::OtherForm))
    }
}

fn decide_list(request: &Request, situation: Situation<'_>) -> (Route, Why) {
    let query = &request.query;
    if query.continue_token.is_some() {
        return away_or(situation, Refusal::SnapshotGone, (Route::Forward, Why::Snapshot));
    }
    if !is_plain(request) {
        // A table is printed by the server; without it a person is shown what is here, others JSON where they read that.
        return read_or_forward(situation, Route::Forward, Why::OtherForm);
    }
    let exact = query.resource_version_match == Some(Match::Exact);
    match query.resource_version {
        ResourceVersion::Zero => (Route::MirrorList, Why::AnyVersion), // `limit` is ignored, as in the apiserver
        ResourceVersion::Unset => read_or_forward(situation, Route::ForwardRemember, Why::MostRecent),
        ResourceVersion::At(_) if exact || query.limit.is_some() => {
            away_or(situation, Refusal::SnapshotGone, (Route::Forward, Why::Snapshot))
        }
        ResourceVersion::At(version) => at_version(version, situation, Route::MirrorList),
    }
}

fn decide_get(request: &Request, situation: Situation<'_>) -> (Route, Why) {
    if !is_plain(request) {
        return read_or_forward(situation, Route::Forward, Why::OtherForm);
    }
    if situation.journaled {
        return (Route::MirrorGet, Why::OwnWrite);
    }
    match request.query.resource_version {
        ResourceVersion::Zero => (Route::MirrorGet, Why::AnyVersion),
        ResourceVersion::Unset => read_or_forward(situation, Route::ForwardRemember, Why::MostRecent),
        ResourceVersion::At(version) => at_version(version, situation, Route::MirrorGet),
    }
}

fn at_version(version: u64, situation: Situation<'_>, reached: Route) -> (Route, Why) {
    match situation.mirrored {
        Some(mirrored) if mirrored >= version || version >= FIRST_OVERLAY_VERSION => {
            (reached, Why::VersionReached)
        }
        _ => away_or(
            situation,
            Refusal::AheadOfMirror,
            (Route::ForwardRemember, Why::VersionAhead),
        ),
    }
}

fn read_or_forward(situation: Situation<'_>, route: Route, why: Why) -> (Route, Why) {
    if situation.cloud_reachable {
        (route, why)
    } else {
        (Route::OfflineRead, Why::CloudAway)
    }
}

fn away_or(situation: Situation<'_>, refusal: Refusal, here: (Route, Why)) -> (Route, Why) {
    if situation.cloud_reachable {
        here
    } else {
        (Route::Refuse(refusal), Why::CloudAway)
    }
}

/// Whether the client's first choice is an encoding that the mirror keeps, of whole objects, not meant for a human
/// eye.
fn is_plain(request: &Request) -> bool {
    let first = if request.verb == Verb::Watch {
        request.accept.first_for_watch()
    } else {
        request.accept.first()
    };
    !request.pretty
        && first.is_some_and(|format| {
            format.shape == Shape::Plain && matches!(format.media, Media::Json | Media::Protobuf)
        })
}
