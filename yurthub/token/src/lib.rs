//! Tokens of Kubernetes service accounts, verified on a node, also while its cloud is away.
//!
//! The crate is pure: no I/O, no clock (time is an argument, in seconds since 1970), no tasks. Bytes from anywhere
//! give a value or a [`Refusal`], never a panic and never more than bounded work. No error, `Debug` output or message
//! of it holds a token or a part of one.
//!
//! In reading order: [`KeySet`] and [`Issuer`] are what the cluster publishes about its tokens, [`verify`] judges a
//! token by them and by [`Expectations`], [`Refusal`] says why not, and [`user`] names who a token stands for, as the
//! apiserver does.
//!
//! # Rules
//!
//! They are those of kube-apiserver (`k8s.io/kubernetes/pkg/serviceaccount`: `jwt.go`, `claims.go`) unless the
//! last column says otherwise. The checks are made in this order, so that the first one that fails is the reason.
//!
//! | what | rule | source, or why stricter |
//! |---|---|---|
//! | form | JWS compact serialization, at most [`MAX_TOKEN`] bytes, base64url without padding or whitespace | RFC 7515, 7.1; the bound is ours |
//! | `iss` | one of the expected issuers; `kubernetes/serviceaccount` is [`Refusal::Legacy`] | `jwt.go`, `legacy.go` |
//! | `crit` | refused: no extension is known here | RFC 7515, 4.1.11 |
//! | `alg` | RS256, ES256 or ES384: what Kubernetes and its external signers sign with, but for ES512 (below). Never `none`, never an HMAC | `signerFromRSAPrivateKey`, `signerFromECDSAPrivateKey`, `externaljwt/plugin/plugin.go` (KEP-740); go-jose would take RS384, RS512 and PS* too |
//! | key | those of the key set with the token's `kid`; all, where it names none. A key has one algorithm, which follows from its type and curve, and the token's must be that | `GetPublicKeys`; RFC 8725, 3.1 |
//! | signature | of header and payload as they came | RFC 7515, 5.2 |
//! | `aud` | one of the expected audiences | a token without `aud` is taken for the apiserver's there, and refused here: Kubernetes issues none of that kind but legacy ones |
//! | claims | `kubernetes.io` names namespace, account and its UID; `sub` is `system:serviceaccount:NAMESPACE:NAME`; `exp` is there | the apiserver looks at neither `sub` nor a missing `exp` |
//! | node | where the token names a node, it is this one | ours: a node speaks for its own pods |
//! | `nbf`, `iat`, `exp` | as below, with a leeway of [`LEEWAY`] | go-jose's `DefaultLeeway`, which `claims.go` uses |
//!
//! ES512 (P-521) is refused as [`Refusal::UnsupportedKey`], because ring cannot verify it. kubeadm makes no such keys.
//!
//! # Time
//!
//! While the cloud is there, `nbf` and `iat` must not lie ahead of `now`, and `exp` not behind it.
//!
//! While it is away (`offline_since` is set) nobody can renew a token, and nobody corrects the node's clock:
//!
//! - A token **of a pod** is accepted when it was still valid as the cut began, by `exp` and `offline_since` alone;
//!   `now` has no say. That it has run out since is told by [`Times::Outlived`]. It ends with its pod, which the
//!   caller looks up (below).
//! - A token **of no pod** (`kubectl create token`, tokens bound to a Secret or a Node) must still be valid at `now`:
//!   nothing here would ever end it. A clock that fell back cannot prolong it much, because the time is taken to be
//!   at least `offline_since`.
//! - `nbf` and `iat` are not judged, only told, by [`Times::Early`]: a node that comes back from a power cut in 1970
//!   must go on working. Nothing is lost by it. The signature proves that the cluster issued the token, so that its
//!   beginning is in the past whatever this clock says.
//!
//! So `offline_since` carries the weight. It must be the last moment at which the cloud was known to be there, as it was
//! written down then, and never a time read from the clock after a reboot: with 1970 there, every token that was ever
//! issued to a pod counts as valid when the cut began.
//!
//! # What is left to the caller
//!
//! - That the pod of [`Claims::pod`], with that UID, is one of the kubelet's own pods (and, for what is bound to a
//!   Secret or a Node, that this still exists). The apiserver looks all of these up, and the account too.
//! - What becomes of a token that is refused: [`Refusal::is_final`] says which refusals the cloud would repeat.
//! - To fetch the keys anew after [`Refusal::UnknownKey`], at a bounded rate: anyone can make up a `kid`.
//! - To ask the apiserver itself for the keys, at [`JWKS_PATH`]. [`Issuer::jwks_uri`] is for those outside the cluster,
//!   and may lead anywhere.

mod claims;
mod compact;
mod issuer;
mod key_set;
mod public_key;
mod refusal;
mod user;
mod verify;

pub use claims::{Bound, Claims};
pub use compact::{MAX_KID, MAX_TOKEN};
pub use issuer::{BadIssuer, CONFIGURATION_PATH, Issuer};
pub use key_set::{BadKeySet, JWKS_MEDIA_TYPE, JWKS_PATH, KeySet, MAX_KEYS, MAX_SIZE};
pub use refusal::Refusal;
pub use user::{UserInfo, user};
pub use verify::{Expectations, LEEWAY, Times, Verified, verify};
