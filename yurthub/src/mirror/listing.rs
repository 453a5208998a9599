//! What a reflector asks the cloud for: lists in pages, of objects or of their metadata alone, single objects of a
//! snapshot, and the opening of a watch.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use tokio::time::Instant;
use tracing::debug;
use yurthub_object::list::{self, ListPage};
use yurthub_object::status::{self, Status};
use yurthub_object::{Encoding, Malformed, Reason, meta};

use super::USER_AGENT;
use super::context::Context;
use super::key::{Escaped, object_key};
use super::pace::PageSize;
use super::reflector::ReflectError;
use super::scope::{Scope, Wire};
use crate::forward::{Body, Lane, collect, collect_seeing, empty_body, headers, inflate};
use crate::identity::{Client, Identity};

/// Largest page of a list.
const MAX_PAGE: usize = 256 << 20;
/// Largest `Status` that is read.
const MAX_STATUS: usize = 1 << 20;
/// A page that breaks after that time was too large for the link: the apiserver ends requests after a minute.
const TOO_SLOW: Duration = Duration::from_secs(30);
/// How often a list that lost its snapshot is begun again before the next back-off.
pub(super) const LIST_ATTEMPTS: usize = 3;

/// All objects of the resource.
pub(super) struct Listed {
    pub(super) wire: Wire,
    pub(super) version: u64,
    pub(super) items: Vec<Bytes>,
    /// Whether the first objects are of an older snapshot, because it ran out while they came.
    pub(super) torn: bool,
}

/// Keys and versions of all objects of the resource, of one snapshot.
pub(super) struct Outline {
    pub(super) version: u64,
    pub(super) objects: Vec<(Box<str>, u64)>,
}

/// What came for a list.
pub(super) enum Answer {
    /// The objects.
    Objects(Listed),
    /// Their metadata, of which key and version are kept.
    Outline(Outline),
}

/// What has come of a list that broke off, so that the next attempt goes on from there.
#[derive(Default)]
pub(super) struct Progress {
    kept: Option<Kept>,
    /// Most objects of a page, where larger ones took too long.
    most: Option<u64>,
}

struct Kept {
    accept: &'static str,
    answer: Answer,
    /// What to ask for the next page with; empty where all pages have come.
    token: String,
    last: PageSize,
}

impl Progress {
    /// Begins anew.
    pub(super) fn forget(&mut self) {
        self.kept = None;
    }

    /// Keeps objects of several snapshots that could not be mended yet.
    pub(super) fn keep(&mut self, listed: Listed, accept: &'static str) {
        self.kept = Some(Kept {
            accept,
            answer: Answer::Objects(listed),
            token: String::new(),
            last: PageSize::default(),
        });
    }

    /// Takes in a page.
    fn add(&mut self, accept: &'static str, page: Page) -> Result<(), Malformed> {
        let Page { encoding, size, list } = page;
        let token = list.continue_token.clone();
        let kept = match self.kept.take() {
            Some(mut kept) => {
                kept.answer.add(encoding, list)?;
                Kept {
                    token,
                    last: size,
                    ..kept
                }
            }
            None => Kept {
                accept,
                answer: Answer::begin(encoding, list)?,
                token,
                last: size,
            },
        };
        self.kept = Some(kept);
        Ok(())
    }

    /// The snapshot is gone: objects go on in the state of now, from `token`, and are mended afterwards. Whether there
    /// is something to go on with.
    fn tear(&mut self, token: String) -> bool {
        let kept = self.kept.take();
        self.kept = kept.filter(|kept| matches!(kept.answer, Answer::Objects(_)));
        let Some(Kept {
            answer: Answer::Objects(listed),
            token: next,
            ..
        }) = &mut self.kept
        else {
            return false;
        };
        listed.torn = true;
        *next = token;
        true
    }

    /// What an error means for what was kept: a server that answers something else than "later" may mean the list.
    fn broken(&mut self, error: &ReflectError, asked: u64, took: Duration) {
        let slow = took >= TOO_SLOW;
        if slow {
            self.most = Some((asked / 2).max(1));
        }
        let keeps = match error {
            ReflectError::Refused(status) => matches!(status.code, 429 | 503) || status.code == 504 && slow,
            ReflectError::Malformed(_) => false,
            _ => true,
        };
        if !keeps {
            self.forget();
        }
    }
}

/// Lists all objects.
pub(super) async fn objects(
    scope: &Scope,
    context: &Context,
    progress: &mut Progress,
) -> Result<Listed, ReflectError> {
    match snapshot((scope, context), scope.key.accept(), progress).await? {
        Answer::Objects(listed) => Ok(listed),
        Answer::Outline(_) => Err(Reason::WrongType.reading("list").into()),
    }
}

/// Lists the metadata of all objects, or the objects where the server cannot give that alone.
pub(super) async fn outline(
    scope: &Scope,
    context: &Context,
    progress: &mut Progress,
) -> Result<Answer, ReflectError> {
    snapshot((scope, context), scope.key.accept_metadata(), progress).await
}

/// One object as it was at the version of a list, by a list of nothing else at exactly that version.
///
/// A GET would give the object as it is now, which may be newer than the snapshot, and needs another right than the
/// scope's own list. The apiserver reads one key of etcd for it (`ListPredicate` in
/// `k8s.io/apiserver/pkg/registry/generic/registry/store.go`).
pub(super) async fn object_at(
    scope: &Scope,
    context: &Context,
    object: &str,
    version: u64,
) -> Result<Listed, ReflectError> {
    let query = format!("resourceVersion={version}&resourceVersionMatch=Exact");
    let url = scope.key.narrowed_to(object).url(&query);
    let Page { encoding, list, .. } = page((scope, context), scope.key.accept(), &url).await?;
    Ok(Listed {
        wire: Wire::new(encoding, list.type_meta),
        version: list.resource_version,
        items: list.items,
        torn: false,
    })
}

/// The version that the cloud is at, by this scope's own list: a consistent read.
pub(super) async fn version_now(scope: &Scope, context: &Context) -> Result<u64, ReflectError> {
    let page = page(
        (scope, context),
        scope.key.accept_metadata(),
        &scope.key.url("limit=1"),
    )
    .await?;
    Ok(page.list.resource_version)
}

async fn snapshot(
    at: (&Scope, &Context),
    accept: &'static str,
    progress: &mut Progress,
) -> Result<Answer, ReflectError> {
    for _ in 0..LIST_ATTEMPTS {
        match pages(at, accept, progress).await {
            // The snapshot was compacted away while we paged, and nothing of it is of use: begin again.
            Err(ReflectError::SnapshotGone(_)) => progress.forget(),
            Err(ReflectError::Refused(status)) if status.code == 410 => progress.forget(),
            outcome => return outcome,
        }
    }
    Err(ReflectError::ListTooSlow)
}

async fn pages(
    at: (&Scope, &Context),
    accept: &'static str,
    progress: &mut Progress,
) -> Result<Answer, ReflectError> {
    let (scope, context) = at;
    if progress.kept.as_ref().is_some_and(|kept| kept.accept != accept) {
        progress.forget();
    }
    loop {
        let kept = progress.kept.take_if(|kept| kept.token.is_empty());
        if let Some(kept) = kept {
            return Ok(kept.answer);
        }
        let turn = context.turns.take(&scope.key).await;
        let last = progress.kept.as_ref().map(|kept| kept.last);
        let most = progress.most.unwrap_or(context.config.page_size);
        let asked = context.turns.objects(last, most);
        let mut query = format!("limit={asked}");
        if let Some(kept) = &progress.kept {
            query.push_str("&continue=");
            query.push_str(&Escaped(&kept.token).to_string());
        }
        let start = Instant::now();
        let outcome = page(at, accept, &scope.key.url(&query)).await;
        drop(turn);
        match outcome {
            Ok(page) => {
                context.turns.came(page.size.carried, start.elapsed());
                context.metrics.pages.inc();
                context.metrics.page_bytes.inc_by(page.size.carried);
                progress.add(accept, page)?;
            }
            Err(ReflectError::SnapshotGone(token)) if progress.tear(token.clone()) => {
                debug!(scope = scope.key.describe(), "a list goes on in the state of now");
                context.metrics.lists_torn.inc();
            }
            Err(error) => {
                progress.broken(&error, asked, start.elapsed());
                return Err(error);
            }
        }
    }
}

impl Answer {
    fn begin(encoding: Encoding, page: ListPage) -> Result<Self, Malformed> {
        let version = page.resource_version;
        let mut answer = if is_metadata(&page) {
            Self::Outline(Outline {
                version,
                objects: Vec::new(),
            })
        } else {
            Self::Objects(Listed {
                wire: Wire::new(encoding, page.type_meta.clone()),
                version,
                items: Vec::new(),
                torn: false,
            })
        };
        answer.add(encoding, page)?;
        Ok(answer)
    }

    fn add(&mut self, encoding: Encoding, page: ListPage) -> Result<(), Malformed> {
        match self {
            // Another server behind the same address may answer a further page in another form.
            Self::Objects(_) if is_metadata(&page) => return Err(Reason::WrongType.reading("list")),
            Self::Objects(listed) => {
                listed.version = listed.version.max(page.resource_version);
                listed.items.extend(page.items);
            }
            Self::Outline(outline) => {
                for item in &page.items {
                    let key = meta::key(encoding, item)?;
                    let name = object_key(&key.namespace, &key.name);
                    outline.objects.push((name, key.resource_version));
                }
            }
        }
        Ok(())
    }
}

/// Whether the items of a list are metadata alone.
fn is_metadata(page: &ListPage) -> bool {
    page.type_meta.kind == "PartialObjectMetadataList"
}

/// One page as it came.
struct Page {
    encoding: Encoding,
    size: PageSize,
    list: ListPage,
}

async fn page(
    (scope, context): (&Scope, &Context),
    accept: &'static str,
    url: &str,
) -> Result<Page, ReflectError> {
    let lane = if scope.key.is_bulk() {
        Lane::Bulk
    } else {
        Lane::Request
    };
    let request = request(scope, context, accept, url)?;
    let response = answer((scope, context), lane, (request, true)).await?;
    let (encoding, compressed) = (
        headers::encoding_of(response.headers()),
        inflate::is_compressed(response.headers()),
    );
    context.turns.moved();
    let carried = collect_seeing(response.into_body(), MAX_PAGE, || context.turns.moved())
        .await
        .map_err(ReflectError::Body)?;
    let size = carried.len() as u64;
    let plain = if compressed {
        inflate::gunzip(&carried, MAX_PAGE).map_err(|error| ReflectError::Body(error.into()))?
    } else {
        carried
    };
    let list = list::decode(encoding, &plain)?;
    Ok(Page {
        encoding,
        size: PageSize {
            objects: list.items.len() as u64,
            plain: plain.len() as u64,
            carried: size,
        },
        list,
    })
}

/// Sends a GET; anything but 200 is an error that holds the `Status`.
pub(super) async fn send(
    scope: &Scope,
    context: &Context,
    lane: Lane,
    url: &str,
) -> Result<http::Response<Body>, ReflectError> {
    let request = request(scope, context, scope.key.accept(), url)?;
    answer((scope, context), lane, (request, false)).await
}

/// A GET of `url`. A scope of an account is asked for with the account's own token.
fn request(
    scope: &Scope,
    context: &Context,
    accept: &'static str,
    url: &str,
) -> Result<Request<Body>, ReflectError> {
    let mut request = Request::new(empty_body());
    *request.uri_mut() = url.parse().unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    if let account @ Client::Account { .. } = &scope.key.client {
        let authorization = context.tokens.of(account).ok_or(ReflectError::NoToken)?;
        headers.insert(header::AUTHORIZATION, authorization);
    }
    Ok(request)
}

/// Sends a request, of which the answer may be compressed where that is said.
async fn answer(
    (scope, context): (&Scope, &Context),
    lane: Lane,
    (mut request, compressed): (Request<Body>, bool),
) -> Result<http::Response<Body>, ReflectError> {
    if compressed {
        request
            .headers_mut()
            .insert(header::ACCEPT_ENCODING, inflate::ACCEPTED);
    }
    let identity = match &scope.key.client {
        Client::Node | Client::Shared => Identity::Node,
        Client::Account { .. } => Identity::Bearer,
    };
    let response = context.upstream.send(&identity, lane, request).await?;
    if response.status() == StatusCode::OK {
        return Ok(response);
    }
    let code = response.status().as_u16();
    let encoding = headers::encoding_of(response.headers());
    let body = collect(response.into_body(), MAX_STATUS)
        .await
        .map_err(ReflectError::Body)?;
    if code == 410
        && let Ok(token) = status::continue_token(encoding, &body)
        && !token.is_empty()
    {
        return Err(ReflectError::SnapshotGone(token));
    }
    let status = Status::decode(encoding, &body)
        .unwrap_or_else(|_| Status::new(code, "Unknown", "the apiserver gave no reason"));
    Err(ReflectError::Refused(Box::new(status)))
}

#[cfg(test)]
mod tests {
    use yurthub_object::TypeMeta;

    use super::*;

    fn page_of(kind: &str, names: &[&str]) -> ListPage {
        let item = |name: &&str| {
            Bytes::from(format!(
                r#"{{"metadata":{{"name":"{name}","resourceVersion":"7"}}}}"#
            ))
        };
        ListPage {
            type_meta: TypeMeta::new("v1", kind),
            resource_version: 9,
            continue_token: String::new(),
            remaining: None,
            items: names.iter().map(item).collect(),
        }
    }

    #[test]
    fn metadata_never_becomes_content() {
        let partial = "PartialObjectMetadataList";
        let mut answer = Answer::begin(Encoding::Json, page_of("PodList", &["a"])).unwrap();
        assert!(answer.add(Encoding::Json, page_of(partial, &["b"])).is_err());
        let mut answer = Answer::begin(Encoding::Json, page_of(partial, &["a"])).unwrap();
        // What is read of metadata is in the objects too.
        answer.add(Encoding::Json, page_of("PodList", &["b"])).unwrap();
        let Answer::Outline(outline) = answer else {
            panic!("a list of metadata was taken for objects")
        };
        assert_eq!(outline.version, 9);
        assert_eq!(outline.objects, [("a".into(), 7), ("b".into(), 7)]);
    }
}
