//! The filters on what a real kube-apiserver sent, against what Kubernetes' own types and serializers make of
//! the same change (`fixtures/README.md`): byte for byte the same, in both encodings.

#![expect(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

use std::{fs, path::Path};

use bytes::Bytes;
use serde_json::Value;
use yurthub_filter::{Encoding, FilterName, Filtered, Filters, Malformed, Place, Server, Settings};
use yurthub_object::single;

const BOTH: [Encoding; 2] = [Encoding::Json, Encoding::Protobuf];
const ALL: [FilterName; 4] = [
    FilterName::TrustBundle,
    FilterName::KubernetesService,
    FilterName::ServiceEnv,
    FilterName::KubeProxyConfig,
];

fn read(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    fs::read(folder.join(name)).unwrap()
}

fn item(name: &str, encoding: Encoding) -> Bytes {
    let extension = match encoding {
        Encoding::Json => "json",
        Encoding::Protobuf => "pb",
    };
    let body = read(&format!("{name}.{extension}"));
    single::split(encoding, &body.into()).unwrap().1
}

fn filters(on: &[FilterName], host: &str) -> Filters {
    let server = Server {
        host: host.parse().unwrap(),
        port: 10268,
    };
    let server = |name| on.contains(&name).then_some(server);
    Filters::new(&Settings {
        trust_bundle: on
            .contains(&FilterName::TrustBundle)
            .then(|| String::from_utf8(read("hub_ca.pem")).unwrap()),
        kubernetes_service: server(FilterName::KubernetesService),
        service_env: server(FilterName::ServiceEnv),
        kube_proxy_config: server(FilterName::KubeProxyConfig),
    })
    .unwrap()
}

fn resource(fixture: &str) -> &'static str {
    match fixture.split('_').next() {
        Some("service") => "services",
        Some("pod") => "pods",
        _ => "configmaps",
    }
}

const FOUR: &str = "169.254.2.1";
const SIX: &str = "fd00::2:1";

/// A fixture, the address that the filters are told, what comes out, and whose work it is.
const CHANGES: [(&str, &str, &str, FilterName); 7] = [
    ("service", FOUR, "service.after", FilterName::KubernetesService),
    ("service", SIX, "service.after6", FilterName::KubernetesService),
    (
        "service_dual",
        FOUR,
        "service_dual.after",
        FilterName::KubernetesService,
    ),
    (
        "service_dual",
        SIX,
        "service_dual.after6",
        FilterName::KubernetesService,
    ),
    ("pod_env", FOUR, "pod_env.after", FilterName::ServiceEnv),
    ("root_ca", FOUR, "root_ca.after", FilterName::TrustBundle),
    (
        "kube_proxy",
        FOUR,
        "kube_proxy.after",
        FilterName::KubeProxyConfig,
    ),
];

#[test]
fn a_change_is_the_one_that_kubernetes_own_types_make() {
    for (before, host, after, by) in CHANGES {
        let place = Place::all("", resource(before));
        for encoding in BOTH {
            let (before, after) = (item(before, encoding), item(after, encoding));
            for filters in [filters(&ALL, host), filters(&[by], host)] {
                let Filtered::Changed { item, by: who } = filters.apply(&place, encoding, &before).unwrap()
                else {
                    panic!("{before:?} is kept")
                };
                assert_eq!(String::from_utf8_lossy(&item), String::from_utf8_lossy(&after));
                assert_eq!((item, who), (after.clone(), by));
                assert_eq!(
                    filters.apply(&place, encoding, &after),
                    Ok(Filtered::Keep),
                    "again"
                );
            }
        }
    }
}

#[test]
fn an_object_that_concerns_no_filter_is_kept() {
    for (before, host, _, by) in CHANGES {
        let others: Vec<_> = ALL.into_iter().filter(|name| *name != by).collect();
        for encoding in BOTH {
            let before_item = item(before, encoding);
            let keeps = |filters: &Filters, place: &Place<'_>, item: &Bytes| {
                assert_eq!(
                    filters.apply(place, encoding, item),
                    Ok(Filtered::Keep),
                    "{before}"
                );
            };
            keeps(
                &filters(&others, host),
                &Place::all("", resource(before)),
                &before_item,
            );
            keeps(
                &filters(&ALL, host),
                &Place::all("example.io", resource(before)),
                &before_item,
            );
            keeps(&filters(&ALL, host), &Place::all("", "secrets"), &before_item);
        }
    }
    for encoding in BOTH {
        let pod = item("pod_mirror", encoding);
        let kept = filters(&ALL, FOUR).apply(&Place::all("", "pods"), encoding, &pod);
        assert_eq!(kept, Ok(Filtered::Keep), "a mirror pod");
    }
}

/// Replaces each occurrence of `from` by `to`, of the same length, so that lengths in protobuf hold.
fn renamed(item: &[u8], from: &str, to: &str) -> Bytes {
    assert_eq!(from.len(), to.len());
    let mut new = item.to_vec();
    let mut at = 0;
    while let Some(found) = new[at..]
        .windows(from.len())
        .position(|window| window == from.as_bytes())
    {
        new[at + found..at + found + from.len()].copy_from_slice(to.as_bytes());
        at += found + from.len();
    }
    assert_ne!(new, item, "{from} does not occur");
    new.into()
}

#[test]
fn an_object_of_another_name_or_shape_is_kept() {
    for (fixture, from, to) in [
        ("service", "kubernetes", "kubernetez"),
        ("service", "default", "defaulx"),
        ("service", "https", "httpz"),
        ("root_ca", "kube-root-ca.crt", "kube-root-ca.crx"),
        ("root_ca", "ca.crt", "ca.crx"),
        ("root_ca", "BEGIN CERTIFICATE", "BEGIN CERTIFICATX"),
        ("kube_proxy", "kube-proxy", "kube-proxx"),
        ("kube_proxy", "kube-system", "kube-systex"),
        ("kube_proxy", "kubeconfig.conf", "kubeconfig.conx"),
        ("kube_proxy", "kind: Config", "kind: Confix"),
        ("pod_env", "KUBERNETES_SERVICE_", "KUBERNETES_SERVICX_"),
    ] {
        for encoding in BOTH {
            let other = renamed(&item(fixture, encoding), from, to);
            let kept = filters(&ALL, FOUR).apply(&Place::all("", resource(fixture)), encoding, &other);
            assert_eq!(kept, Ok(Filtered::Keep), "{fixture} {from} {to}");
        }
    }
    // In any namespace.
    for encoding in BOTH {
        let other = renamed(&item("root_ca", encoding), "demo", "omed");
        let filtered = filters(&ALL, FOUR).apply(&Place::all("", "configmaps"), encoding, &other);
        assert!(matches!(filtered, Ok(Filtered::Changed { .. })));
    }
}

#[test]
fn white_space_in_json_stays() {
    for (before, host, after, _) in CHANGES {
        let pretty = |name: &str| {
            let value: Value = serde_json::from_slice(&item(name, Encoding::Json)).unwrap();
            serde_json::to_string_pretty(&value).unwrap()
        };
        let place = Place::all("", resource(before));
        let item = Bytes::from(pretty(before));
        let Ok(Filtered::Changed { item, .. }) = filters(&ALL, host).apply(&place, Encoding::Json, &item)
        else {
            panic!("{before} is kept")
        };
        // A list of addresses is written anew as a whole, without spaces.
        let lists = |text: &str| {
            ["clusterIPs", "ipFamilies"]
                .into_iter()
                .fold(text.to_owned(), |text, key| {
                    let Some((head, rest)) = text.split_once(&format!("\"{key}\": [")) else {
                        return text;
                    };
                    let (list, tail) = rest.split_once(']').unwrap();
                    let list: String = list.split_whitespace().collect();
                    format!("{head}\"{key}\": [{list}]{tail}")
                })
        };
        let text = String::from_utf8(item.to_vec()).unwrap();
        assert_eq!(lists(&text), lists(&pretty(after)));
    }
}

#[test]
fn what_cannot_be_read_is_an_error() {
    for (before, _, _, _) in CHANGES {
        let filters = filters(&ALL, FOUR);
        let place = Place::all("", resource(before));
        let half = |encoding| {
            let item = item(before, encoding);
            filters.apply(&place, encoding, &item.slice(..item.len() / 2))
        };
        for encoding in BOTH {
            let error: Malformed = half(encoding).unwrap_err();
            assert_eq!(error.subject, "object to filter");
        }
    }
}
