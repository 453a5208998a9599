//! A resource by its name on the command line: `services`, `endpointslices.discovery.k8s.io`. Pure.

use std::fmt;
use std::str::FromStr;

use yurthub_request::ResourcePath;

/// A resource of a group, in any version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupResource {
    group: String,
    resource: String,
}

impl GroupResource {
    /// Whether the path names this resource.
    pub fn is(&self, path: &ResourcePath) -> bool {
        self.resource == path.resource && self.group == path.group
    }
}

impl FromStr for GroupResource {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (resource, group) = text.split_once('.').unwrap_or((text, ""));
        let is_name = |part: &str| {
            part.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte))
        };
        if resource.is_empty() || !is_name(resource) || !is_name(group) {
            return Err("must be a plural resource and its group, as in `endpointslices.discovery.k8s.io`");
        }
        if group.is_empty() && matches!(resource, "secrets" | "configmaps") {
            return Err("secrets and configmaps are never shared: each pod sees its own only");
        }
        Ok(Self {
            group: group.into(),
            resource: resource.into(),
        })
    }
}

impl fmt::Display for GroupResource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.resource)?;
        if self.group.is_empty() {
            return Ok(());
        }
        write!(out, ".{}", self.group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_kubectl_reads_them() {
        for text in ["services", "endpointslices.discovery.k8s.io"] {
            assert_eq!(text.parse::<GroupResource>().unwrap().to_string(), text);
        }
        for text in ["", ".apps", "Services", "a/b", "secrets"] {
            assert!(text.parse::<GroupResource>().is_err(), "{text}");
        }
    }
}
