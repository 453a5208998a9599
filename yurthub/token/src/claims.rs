//! What a token says, once its signature has been found good (RFC 7519; `privateClaims` in
//! `pkg/serviceaccount/claims.go`).

use serde::{Deserialize, Deserializer, de};

use crate::Refusal;

/// Numbers of JSON are exact up to here (RFC 8259, section 6).
const MAX_DATE: f64 = 9_007_199_254_740_992.0;

/// What a verified token says of its bearer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claims {
    /// The namespace of the account.
    pub namespace: String,
    /// The name of the account.
    pub service_account: String,
    /// The UID of the account.
    pub service_account_uid: String,
    /// The pod that the token was issued to; it ends with that pod.
    pub pod: Option<Bound>,
    /// The Secret that it is bound to.
    pub secret: Option<Bound>,
    /// The node of the pod (KEP-4193), or the node that it is bound to where there is no pod.
    pub node: Option<Bound>,
    /// The name of this very token (KEP-4193); Kubernetes before 1.30 gave none.
    pub jti: Option<String>,
    /// For whom it is meant.
    pub audiences: Vec<String>,
    /// When it ends, in seconds since 1970.
    pub expires: i64,
    /// When it was issued, likewise.
    pub issued: Option<i64>,
    /// When it begins, likewise.
    pub not_before: Option<i64>,
    /// When its bearer should have fetched another, although it ends much later, likewise: the apiserver extends the
    /// tokens that it puts into pods to a year, and what the kubelet was told to this.
    pub warn_after: Option<i64>,
}

/// An object that a token is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Deserialize)]
#[serde(default)]
pub struct Bound {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

#[derive(Deserialize)]
struct Payload {
    sub: Option<String>,
    aud: Option<Audiences>,
    exp: Option<Date>,
    nbf: Option<Date>,
    iat: Option<Date>,
    jti: Option<String>,
    #[serde(rename = "kubernetes.io", default)]
    kubernetes: Private,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Private {
    namespace: String,
    serviceaccount: Bound,
    pod: Option<Bound>,
    secret: Option<Bound>,
    node: Option<Bound>,
    warnafter: Option<Date>,
}

/// One, or several (RFC 7519, 4.1.3).
#[derive(Deserialize)]
#[serde(untagged)]
enum Audiences {
    One(String),
    Several(Vec<String>),
}

/// A `NumericDate` (RFC 7519, section 2), cut to seconds as go-jose does.
struct Date(i64);

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        if seconds.abs() <= MAX_DATE {
            Ok(Self(seconds as i64))
        } else {
            Err(de::Error::custom("not a date"))
        }
    }
}

/// Whose token it claims to be, read before anything is verified. Empty where it says nothing.
pub(crate) fn issuer(payload: &[u8]) -> Result<String, Refusal> {
    #[derive(Deserialize)]
    struct OnlyIssuer {
        #[serde(default)]
        iss: String,
    }
    serde_json::from_slice::<OnlyIssuer>(payload)
        .map(|claims| claims.iss)
        .map_err(|_| Refusal::Malformed("its payload is not JSON with an issuer"))
}

/// What a token for one of `audiences` says.
pub(crate) fn read(payload: &[u8], audiences: &[String]) -> Result<Claims, Refusal> {
    let payload: Payload = serde_json::from_slice(payload)
        .map_err(|_| Refusal::Malformed("its claims are not of the form of Kubernetes"))?;
    let meant_for = match payload.aud {
        None => Vec::new(),
        Some(Audiences::One(audience)) => vec![audience],
        Some(Audiences::Several(audiences)) => audiences,
    };
    if !meant_for.iter().any(|audience| audiences.contains(audience)) {
        return Err(Refusal::WrongAudience);
    }
    let Private {
        namespace,
        serviceaccount: account,
        pod,
        secret,
        node,
        warnafter,
    } = payload.kubernetes;
    if namespace.is_empty() || account.name.is_empty() || account.uid.is_empty() {
        return Err(Refusal::BadClaim("kubernetes.io"));
    }
    let subject = crate::user::username(&namespace, &account.name);
    if payload.sub.as_deref() != Some(&subject) {
        return Err(Refusal::BadClaim("sub"));
    }
    for (claim, bound) in [("pod", &pod), ("secret", &secret), ("node", &node)] {
        // The UID of the node may be absent, `UserInfo` in `k8s.io/apiserver/pkg/authentication/serviceaccount`.
        if bound
            .as_ref()
            .is_some_and(|bound| bound.name.is_empty() || (bound.uid.is_empty() && claim != "node"))
        {
            return Err(Refusal::BadClaim(claim));
        }
    }
    Ok(Claims {
        namespace,
        service_account: account.name,
        service_account_uid: account.uid,
        pod,
        secret,
        node,
        jti: payload.jti.filter(|jti| !jti.is_empty()),
        audiences: meant_for,
        expires: payload.exp.ok_or(Refusal::BadClaim("exp"))?.0,
        issued: payload.iat.map(|date| date.0),
        not_before: payload.nbf.map(|date| date.0),
        warn_after: warnafter.map(|date| date.0),
    })
}
