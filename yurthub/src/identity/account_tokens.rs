//! The newest token of each service account on this node, by which the cloud is asked for what its pods follow.
//!
//! Kept in memory only: after a restart an account's scopes wait until one of its pods asks again, which shows its
//! token.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use http::HeaderValue;

use super::Client;

/// Accounts whose tokens are kept; a node has about as many as it has pods.
const MAX_ACCOUNTS: usize = 1024;

/// See the module.
#[derive(Debug, Default)]
pub struct AccountTokens {
    newest: Mutex<HashMap<Client, Held>>,
}

/// A token; its header value is marked sensitive, so that it shows in no debug output.
#[derive(Debug)]
struct Held {
    /// `iat`, seconds since 1970.
    issued: i64,
    authorization: HeaderValue,
}

impl AccountTokens {
    /// Keeps the token if it is newer than the one that is known. Returns whether it is.
    pub fn saw(&self, client: &Client, issued: i64, authorization: &HeaderValue) -> bool {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let known = newest.get(client);
        if known.is_some_and(|known| known.issued >= issued)
            || known.is_none() && newest.len() >= MAX_ACCOUNTS
        {
            return false;
        }
        let mut authorization = authorization.clone();
        authorization.set_sensitive(true);
        newest.insert(
            client.clone(),
            Held {
                issued,
                authorization,
            },
        );
        true
    }

    /// The `Authorization` of the account, where one has been seen.
    pub fn of(&self, client: &Client) -> Option<HeaderValue> {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.get(client).map(|held| held.authorization.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str) -> Client {
        Client::Account {
            namespace: "default".into(),
            name: name.into(),
            uid: "1".into(),
        }
    }

    #[test]
    fn the_newest_token_wins_and_is_never_shown() {
        let tokens = AccountTokens::default();
        let (old, new) = (
            HeaderValue::from_static("Bearer old"),
            HeaderValue::from_static("Bearer new"),
        );
        assert!(tokens.saw(&account("web"), 10, &old));
        assert!(tokens.saw(&account("web"), 20, &new));
        assert!(!tokens.saw(&account("web"), 10, &old));
        assert_eq!(tokens.of(&account("web")), Some(new));
        assert_eq!(tokens.of(&account("db")), None);
        assert!(!format!("{tokens:?}").contains("Bearer"));
    }
}
