//! Why something could not be done in the cluster.

use thiserror::Error;

/// Why.
#[derive(Debug, Error)]
pub enum Failure {
    /// Somebody else was faster; the object is looked at again.
    #[error("somebody else has changed it meanwhile")]
    Conflict,
    /// The apiserver asks for patience.
    #[error("the apiserver is busy: {0}")]
    Busy(String),
    /// A right is missing.
    #[error("a right of this program is missing (is its ClusterRole that of this version?): {0}")]
    Forbidden(String),
    /// The apiserver does not take it.
    #[error("the apiserver refuses it: {0}")]
    Refused(String),
    /// No answer.
    #[error("the apiserver does not answer")]
    Unreachable(#[source] kube::Error),
    /// The authority that signs cannot be read.
    #[error("{0}")]
    Damaged(String),
    /// This replica does not lead any more.
    #[error("this replica does not lead any more")]
    NotLeading,
}

impl Failure {
    /// As metrics have it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Busy(_) => "busy",
            Self::Forbidden(_) => "forbidden",
            Self::Refused(_) => "refused",
            Self::Unreachable(_) => "unreachable",
            Self::Damaged(_) => "damaged-authority",
            Self::NotLeading => "not-leading",
        }
    }

    /// Whether it happens in a cluster where all is well.
    pub fn is_usual(&self) -> bool {
        matches!(self, Self::Conflict | Self::NotLeading)
    }
}

/// Sorts what an apiserver said to a write; `None`: the object is gone, and nothing is left to do.
pub fn of(error: kube::Error) -> Option<Failure> {
    let kube::Error::Api(status) = &error else {
        return Some(Failure::Unreachable(error));
    };
    let said = status.message.clone();
    match status.code {
        404 => None,
        409 => Some(Failure::Conflict),
        403 => Some(Failure::Forbidden(said)),
        429 | 500..=599 => Some(Failure::Busy(said)),
        _ => Some(Failure::Refused(said)),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn what_an_apiserver_says_is_sorted() {
        let reason = |code| {
            let status = Status::failure("no", "Some").with_code(code).boxed();
            of(kube::Error::Api(status)).map(|failure| failure.reason())
        };
        for (code, expected) in [
            (404, None),
            (409, Some("conflict")),
            (403, Some("forbidden")),
            (429, Some("busy")),
            (503, Some("busy")),
            (422, Some("refused")),
        ] {
            assert_eq!(reason(code), expected, "{code}");
        }
    }
}
