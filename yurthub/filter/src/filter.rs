//! The filters that are on, asked as one: whom they concern, and what becomes of an object.

use std::fmt;

use bytes::Bytes;
use yurthub_object::{Encoding, Malformed, Reason, meta, rewrite::Rewritten};

use crate::{
    BadSettings, Server, Settings, fingerprint, kube_proxy_config::KubeProxyConfig,
    kubernetes_service::KubernetesService, service_env::ServiceEnv, trust_bundle::TrustBundle,
};

/// Where objects are: what a scope follows, or a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// API group, empty for the core group.
    pub group: &'a str,
    /// Resource, in the plural.
    pub resource: &'a str,
    /// The namespace; `None` for all, or where it is not known.
    pub namespace: Option<&'a str>,
    /// The one object's name; `None` for all, or where it is not known.
    pub name: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// Everything of a resource.
    pub const fn all(group: &'a str, resource: &'a str) -> Self {
        Self {
            group,
            resource,
            namespace: None,
            name: None,
        }
    }

    /// Whether it is a resource of the core group by this name.
    pub fn is_core(&self, resource: &str) -> bool {
        self.group.is_empty() && self.resource == resource
    }

    /// Whether an object of this namespace and name may be here.
    pub fn may_hold(&self, namespace: Option<&str>, name: &str) -> bool {
        let fits = |here: Option<&str>, wanted: Option<&str>| match (here, wanted) {
            (Some(here), Some(wanted)) => here == wanted,
            _ => true,
        };
        fits(self.namespace, namespace) && fits(self.name, Some(name))
    }
}

/// The names of the filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FilterName {
    /// [`crate::trust_bundle`]
    TrustBundle,
    /// [`crate::kubernetes_service`]
    KubernetesService,
    /// [`crate::service_env`]
    ServiceEnv,
    /// [`crate::kube_proxy_config`]
    KubeProxyConfig,
}

impl FilterName {
    /// The name in settings, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TrustBundle => "trust_bundle",
            Self::KubernetesService => "kubernetes_service",
            Self::ServiceEnv => "service_env",
            Self::KubeProxyConfig => "kube_proxy_config",
        }
    }

    /// The name in OpenYurt's `yurt-hub-cfg`, where it has such a filter.
    pub const fn openyurt(self) -> Option<&'static str> {
        match self {
            Self::TrustBundle => None,
            Self::KubernetesService => Some("masterservice"),
            Self::ServiceEnv => Some("serviceenvupdater"),
            Self::KubeProxyConfig => Some("inclusterconfig"),
        }
    }
}

impl fmt::Display for FilterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What becomes of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filtered {
    /// It stays as it is.
    Keep,
    /// The reader sees this instead.
    Changed {
        /// The item, in the encoding that came in.
        item: Bytes,
        /// Who changed it; the last one, should several.
        by: FilterName,
    },
}

/// One filter. Its settings are its fields.
pub trait ObjectFilter: fmt::Debug + Send + Sync {
    /// Its name.
    fn name(&self) -> FilterName;

    /// Whether an object of this place might change: a question of names, asked once for a scope.
    fn concerns(&self, place: &Place<'_>) -> bool;

    /// All that its answers depend on, besides the object: its settings, and a number that grows when its
    /// code gives another answer than before.
    fn answers_by(&self) -> String;

    /// The item that the reader is to see; `None` when it is this one.
    fn apply(&self, encoding: Encoding, item: &[u8]) -> Rewritten;
}

/// The filters that are on.
#[derive(Debug, Default)]
pub struct Filters(Vec<Box<dyn ObjectFilter>>);

impl Filters {
    /// Builds what `settings` switches on.
    pub fn new(settings: &Settings) -> Result<Self, BadSettings> {
        let Settings {
            trust_bundle,
            kubernetes_service,
            service_env,
            kube_proxy_config,
        } = settings;
        let mut filters: Vec<Box<dyn ObjectFilter>> = Vec::new();
        if let Some(pem) = trust_bundle {
            filters.push(Box::new(TrustBundle::new(pem)?));
        }
        if let Some(server) = checked(kubernetes_service.as_ref())? {
            filters.push(Box::new(KubernetesService::new(server)));
        }
        if let Some(server) = checked(service_env.as_ref())? {
            filters.push(Box::new(ServiceEnv::new(server)));
        }
        if let Some(server) = checked(kube_proxy_config.as_ref())? {
            filters.push(Box::new(KubeProxyConfig::new(server)));
        }
        Ok(Self(filters))
    }

    /// The names of those that are on.
    pub fn names(&self) -> impl Iterator<Item = FilterName> {
        self.0.iter().map(|filter| filter.name())
    }

    /// Whether any object of this place might change; if not, [`Filters::apply`] need not be called.
    pub fn concerns(&self, place: &Place<'_>) -> bool {
        self.concerning(place).next().is_some()
    }

    /// Changes when the answer for an object of this place could change; 0 while no filter concerns it, that
    /// is for objects as they came. The same for the same settings in each build, until a filter's rules change.
    pub fn fingerprint(&self, place: &Place<'_>) -> u64 {
        let parts: Vec<_> = self
            .concerning(place)
            .map(|filter| (filter.name().as_str(), filter.answers_by()))
            .collect();
        if parts.is_empty() {
            return 0;
        }
        fingerprint::of(
            parts
                .iter()
                .flat_map(|(name, answers_by)| [name.as_bytes(), answers_by.as_bytes()]),
        )
    }

    /// What the kubelet is to see instead of this item of a resource.
    pub fn apply(&self, place: &Place<'_>, encoding: Encoding, item: &Bytes) -> Result<Filtered, Malformed> {
        let mut filtered = Filtered::Keep;
        for filter in self.concerning(place) {
            let current = match &filtered {
                Filtered::Keep => item,
                Filtered::Changed { item, .. } => item,
            };
            let new = filter
                .apply(encoding, current)
                .map_err(|reason: Reason| reason.reading("object to filter"))?;
            if let Some(new) = new {
                filtered = Filtered::Changed {
                    item: new.into(),
                    by: filter.name(),
                };
            }
        }
        Ok(filtered)
    }

    fn concerning(&self, place: &Place<'_>) -> impl Iterator<Item = &dyn ObjectFilter> {
        self.0
            .iter()
            .map(Box::as_ref)
            .filter(|filter| filter.concerns(place))
    }
}

fn checked(server: Option<&Server>) -> Result<Option<Server>, BadSettings> {
    match server {
        Some(Server { port: 0, .. }) => Err(BadSettings::PortZero),
        other => Ok(other.copied()),
    }
}

/// Whether this is the object of that name, in this namespace where one is given.
pub(crate) fn is_named(
    encoding: Encoding,
    item: &[u8],
    namespace: Option<&str>,
    name: &str,
) -> Result<bool, Reason> {
    let key = meta::key(encoding, item).map_err(|malformed| malformed.reason)?;
    Ok(key.name == name && namespace.is_none_or(|namespace| key.namespace == namespace))
}
