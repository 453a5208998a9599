//! What the cloud's answers mean for a journaled event. Pure.

use http::StatusCode;
use yurthub_object::status::Status;

/// What became of a journaled event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was journaled, or a journaled one was changed.
    Kept,
    /// The journal was full, and this was the oldest.
    Overflow,
    /// The cloud has taken it.
    Sent,
    /// The cloud had it already; its count and time were brought up to date.
    Amended,
    /// Its namespace is gone.
    Gone,
    /// Its writer may not write events.
    Forbidden,
    /// The cloud finds it wrong.
    Invalid,
    /// No token of its writer came.
    NoToken,
    /// To be tried again.
    Later,
}

impl Outcome {
    /// Name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Overflow => "overflow",
            Self::Sent => "sent",
            Self::Amended => "amended",
            Self::Gone => "gone",
            Self::Forbidden => "forbidden",
            Self::Invalid => "invalid",
            Self::NoToken => "no-token",
            Self::Later => "later",
        }
    }
}

/// What an answer of the cloud means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// That is it.
    Ends(Outcome),
    /// An event of this name exists.
    Exists,
    /// The account's token is not accepted any more.
    WantsToken,
}

/// Judges the answer to a POST. Pure.
pub(super) fn judge(status: StatusCode, says: &Status) -> Verdict {
    let terminating = says.details.as_ref().is_some_and(|details| {
        details
            .causes
            .iter()
            .any(|cause| cause.reason == "NamespaceTerminating")
    });
    match status {
        status if status.is_success() => Verdict::Ends(Outcome::Sent),
        StatusCode::CONFLICT => Verdict::Exists,
        StatusCode::UNAUTHORIZED => Verdict::WantsToken,
        StatusCode::NOT_FOUND => Verdict::Ends(Outcome::Gone),
        StatusCode::FORBIDDEN if terminating => Verdict::Ends(Outcome::Gone),
        StatusCode::FORBIDDEN => Verdict::Ends(Outcome::Forbidden),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Verdict::Ends(Outcome::Later),
        status if status.is_client_error() => Verdict::Ends(Outcome::Invalid),
        _ => Verdict::Ends(Outcome::Later),
    }
}

/// What the answer to the amendment of an event that exists means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Amended {
    /// It is the same event.
    Same,
    /// It is another one of the same name.
    Other,
    /// Not known yet.
    Later,
}

/// Judges the answer to an amendment. Pure. Who may not patch events has written it: names hold the time of writing.
pub(super) fn judge_amendment(status: StatusCode) -> Amended {
    match status {
        status if status.is_success() => Amended::Same,
        StatusCode::FORBIDDEN => Amended::Same,
        StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST => Amended::Other,
        _ => Amended::Later,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_mean_what_the_table_says() {
        let terminating = Status::new(403, "Forbidden", "").with_cause("NamespaceTerminating", "");
        let nothing = Status::default();
        for (code, says, expected) in [
            (201, &nothing, Verdict::Ends(Outcome::Sent)),
            (409, &nothing, Verdict::Exists),
            (401, &nothing, Verdict::WantsToken),
            (403, &nothing, Verdict::Ends(Outcome::Forbidden)),
            (403, &terminating, Verdict::Ends(Outcome::Gone)),
            (404, &nothing, Verdict::Ends(Outcome::Gone)),
            (422, &nothing, Verdict::Ends(Outcome::Invalid)),
            (400, &nothing, Verdict::Ends(Outcome::Invalid)),
            (408, &nothing, Verdict::Ends(Outcome::Later)),
            (429, &nothing, Verdict::Ends(Outcome::Later)),
            (500, &nothing, Verdict::Ends(Outcome::Later)),
            (503, &nothing, Verdict::Ends(Outcome::Later)),
        ] {
            let status = StatusCode::from_u16(code).unwrap();
            assert_eq!(judge(status, says), expected, "{code}");
        }
        for (code, expected) in [
            (200, Amended::Same),
            (403, Amended::Same),
            (422, Amended::Other),
            (404, Amended::Later),
            (503, Amended::Later),
        ] {
            let status = StatusCode::from_u16(code).unwrap();
            assert_eq!(judge_amendment(status), expected, "{code}");
        }
    }
}
