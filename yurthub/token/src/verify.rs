//! Whether a token is good here and now. The order of the checks and their sources are in the crate's documentation.

use crate::claims::{self, Claims};
use crate::compact::Compact;
use crate::{KeySet, Refusal};

/// How far clocks may differ, in seconds (`DefaultLeeway` in go-jose's `jwt/validation.go`, which kube-apiserver uses).
pub const LEEWAY: i64 = 60;

/// Who issues legacy tokens (`LegacyIssuer` in `pkg/serviceaccount/legacy.go`).
const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";

/// What a token must fit.
#[derive(Debug, Clone, Copy)]
pub struct Expectations<'a> {
    /// Whose tokens: the issuer of the cluster ([`Issuer`](crate::Issuer)), and those before it that its apiserver
    /// still accepts.
    pub issuers: &'a [String],
    /// For whom: any of these will do. The apiserver's are its issuer's name unless `--api-audiences` says otherwise.
    pub audiences: &'a [String],
    /// The name of this node.
    pub node: &'a str,
    /// The time, in seconds since 1970.
    pub now: i64,
    /// Since when the cloud is away, likewise; `None` while it is there. See the crate's notes on time.
    pub offline_since: Option<i64>,
}

/// A token that is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// What it says.
    pub claims: Claims,
    /// How its times stand.
    pub times: Times,
}

/// How the times of a good token stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// It is valid by this node's clock.
    Current,
    /// It ran out while the cloud was away, and its pod cannot get another.
    Outlived {
        /// When it ended, in seconds since 1970.
        since: i64,
    },
    /// It begins ahead of this node's clock, which must be slow. Only while the cloud is away.
    Early {
        /// When it begins, in seconds since 1970.
        from: i64,
    },
}

/// Judges a token.
pub fn verify(token: &str, keys: &KeySet, expect: &Expectations<'_>) -> Result<Verified, Refusal> {
    let token = Compact::parse(token)?;
    let issuer = claims::issuer(&token.payload)?;
    if !expect.issuers.contains(&issuer) {
        return Err(if issuer == LEGACY_ISSUER {
            Refusal::Legacy
        } else {
            Refusal::WrongIssuer
        });
    }
    if token.is_critical() {
        return Err(Refusal::Critical);
    }
    keys.check(&token)?;

    // From here on it is the cluster that speaks.
    let claims = claims::read(&token.payload, expect.audiences)?;
    if claims.node.as_ref().is_some_and(|node| node.name != expect.node) {
        return Err(Refusal::WrongNode);
    }
    let times = judge_times(&claims, expect)?;
    Ok(Verified { claims, times })
}

fn judge_times(claims: &Claims, expect: &Expectations<'_>) -> Result<Times, Refusal> {
    let from = claims.not_before.max(claims.issued).unwrap_or(i64::MIN);
    let since = claims.expires;
    let is_over = |now: i64| now.saturating_sub(LEEWAY) > since;
    let is_early = |now: i64| now.saturating_add(LEEWAY) < from;

    let Some(cut) = expect.offline_since else {
        return if is_over(expect.now) {
            Err(Refusal::Expired { since })
        } else if is_early(expect.now) {
            Err(Refusal::NotYetValid { from })
        } else {
            Ok(Times::Current)
        };
    };
    // A clock that fell back does not undo what was known when the cut began.
    let now = expect.now.max(cut);
    let must_hold_at = if claims.pod.is_some() { cut } else { now };
    if is_over(must_hold_at) {
        Err(Refusal::Expired { since })
    } else if is_over(now) {
        Ok(Times::Outlived { since })
    } else if is_early(now) {
        Ok(Times::Early { from })
    } else {
        Ok(Times::Current)
    }
}
