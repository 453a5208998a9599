//! Why a token is not accepted. No variant holds a token, nor text that was not verified but the name of a key.

/// Why a token is not accepted here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Longer than [`MAX_TOKEN`](crate::MAX_TOKEN).
    #[error("verify token: it has {bytes} bytes, more than {}", crate::MAX_TOKEN)]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// No JWT, or not of the form of Kubernetes: what is wrong. It may be a token of another kind.
    #[error("verify token: {0}")]
    Malformed(&'static str),
    /// Issued by nobody that is expected here, e.g. an OIDC provider that the apiserver knows.
    #[error(
        "verify token: it is not of this cluster's service account issuer; only the apiserver can judge it"
    )]
    WrongIssuer,
    /// A token out of a Secret of type `kubernetes.io/service-account-token`. It names no audience and never ends,
    /// and is valid only as long as that Secret holds it.
    #[error("verify token: it is a legacy token out of a Secret; only the apiserver can judge it")]
    Legacy,
    /// It insists on an extension (`crit`).
    #[error("verify token: it needs an extension of JWS that is not known here")]
    Critical,
    /// Signed in a way that Kubernetes never does, or not at all.
    #[error("verify token: its algorithm is none that Kubernetes signs with")]
    UnsupportedAlgorithm,
    /// Signed by a key of the cluster that cannot be used here, e.g. of P-521.
    #[error(
        "verify token: the key that signed it is of a kind that cannot be verified here (RSA 2048 to 8192, P-256 and P-384 can)"
    )]
    UnsupportedKey,
    /// The key that it names is not in the set; or it names none, and none of the set has signed it.
    #[error(
        "verify token: its key {name:?} is not among the known keys of the cluster; fetch them anew",
        name = .kid.as_deref().unwrap_or_default()
    )]
    UnknownKey {
        /// The name of the key, from the unverified header.
        kid: Option<String>,
    },
    /// The algorithm in its header is not that of the key that it names.
    #[error("verify token: its algorithm is not that of its key")]
    WrongAlgorithm,
    /// Not signed by the key that it names.
    #[error("verify token: its signature is wrong")]
    BadSignature,
    /// Meant for others.
    #[error("verify token: it is not meant for any of the expected audiences")]
    WrongAudience,
    /// A claim is missing, empty or contradicts another: which one.
    #[error("verify token: its claim `{0}` is missing or wrong")]
    BadClaim(&'static str),
    /// Of a pod on another node, or bound to another node.
    #[error("verify token: it belongs to another node")]
    WrongNode,
    /// It has run out; while the cloud is away, see the crate's notes on time.
    #[error("verify token: it ran out at {since} s since 1970")]
    Expired {
        /// When it ended, in seconds since 1970.
        since: i64,
    },
    /// It begins later than now, or was issued later than now: a wrong clock, here or there.
    #[error(
        "verify token: it is valid from {from} s since 1970, which is ahead of this node's clock; is the clock right?"
    )]
    NotYetValid {
        /// When it begins, in seconds since 1970.
        from: i64,
    },
}

impl Refusal {
    /// The reason in a word, for metrics and logs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "too_long",
            Self::Malformed(_) => "malformed",
            Self::WrongIssuer => "wrong_issuer",
            Self::Legacy => "legacy",
            Self::Critical => "critical",
            Self::UnsupportedAlgorithm => "unsupported_algorithm",
            Self::UnsupportedKey => "unsupported_key",
            Self::UnknownKey { .. } => "unknown_key",
            Self::WrongAlgorithm => "wrong_algorithm",
            Self::BadSignature => "bad_signature",
            Self::WrongAudience => "wrong_audience",
            Self::BadClaim(_) => "bad_claim",
            Self::WrongNode => "wrong_node",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not_yet_valid",
        }
    }

    /// Whether the apiserver would refuse it as well, so that there is no point in asking it, or in waiting for it.
    ///
    /// All others may be good tokens that just cannot be judged here. [`Refusal::Expired`] is final while the cloud is
    /// away; while it is there, its clock decides.
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Critical | Self::WrongAlgorithm | Self::BadSignature | Self::Expired { .. }
        )
    }
}
