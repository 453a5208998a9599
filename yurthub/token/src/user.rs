//! Who a token stands for, exactly as the apiserver derives it (`ServiceAccountInfo.UserInfo` in
//! `k8s.io/apiserver/pkg/authentication/serviceaccount/util.go`).

use std::collections::BTreeMap;

use crate::Claims;

/// A user of the API, e.g. for a `SubjectAccessReview`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UserInfo {
    /// `system:serviceaccount:NAMESPACE:NAME`.
    pub username: String,
    /// The UID of the account.
    pub uid: String,
    /// The groups, in the apiserver's order.
    pub groups: Vec<String>,
    /// What else is known: names and UIDs of pod and node, and the name of the token.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// The user of a verified token.
pub fn user(claims: &Claims) -> UserInfo {
    let mut extra = BTreeMap::new();
    let mut add = |key: &str, value: String| {
        extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value]);
    };
    if let Some(pod) = &claims.pod {
        add("pod-name", pod.name.clone());
        add("pod-uid", pod.uid.clone());
    }
    if let Some(node) = &claims.node {
        add("node-name", node.name.clone());
        if !node.uid.is_empty() {
            add("node-uid", node.uid.clone());
        }
    }
    if let Some(jti) = &claims.jti {
        add("credential-id", format!("JTI={jti}"));
    }
    UserInfo {
        username: username(&claims.namespace, &claims.service_account),
        uid: claims.service_account_uid.clone(),
        groups: vec![
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{}", claims.namespace),
            // Added to all who have proved who they are (`AuthenticatedGroupAdder`).
            "system:authenticated".to_owned(),
        ],
        extra,
    }
}

/// `MakeUsername` in the same file.
pub(crate) fn username(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}
