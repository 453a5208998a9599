//! Whom the filters concern, and how a change of their settings is seen.

#![expect(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

use yurthub_filter::{BadSettings, FilterName, Filters, Place, Server, Settings};

const CA: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

const fn server(port: u16) -> Server {
    let host = std::net::IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 2, 1));
    Server { host, port }
}

fn all() -> Settings {
    Settings {
        trust_bundle: Some(CA.to_owned()),
        kubernetes_service: Some(server(10268)),
        service_env: Some(server(10268)),
        kube_proxy_config: Some(server(10268)),
    }
}

fn only(change: impl FnOnce(&mut Settings)) -> Filters {
    let mut settings = Settings::default();
    change(&mut settings);
    Filters::new(&settings).unwrap()
}

const fn place<'a>(resource: &'a str, namespace: Option<&'a str>, name: Option<&'a str>) -> Place<'a> {
    Place {
        group: "",
        resource,
        namespace,
        name,
    }
}

#[test]
fn a_scope_is_a_filters_concern_when_it_may_hold_its_object() {
    let bundle = only(|settings| settings.trust_bundle = Some(CA.to_owned()));
    let service = only(|settings| settings.kubernetes_service = Some(server(1)));
    let env = only(|settings| settings.service_env = Some(server(1)));
    let proxy = only(|settings| settings.kube_proxy_config = Some(server(1)));
    let none = Filters::default();
    for (place, concerned) in [
        (place("services", None, None), &[&service][..]),
        (place("services", Some("default"), None), &[&service]),
        (
            place("services", Some("default"), Some("kubernetes")),
            &[&service],
        ),
        (place("services", Some("default"), Some("web")), &[]),
        (place("services", Some("demo"), None), &[]),
        (place("pods", None, None), &[&env]),
        (place("pods", Some("demo"), Some("web")), &[&env]),
        (place("configmaps", None, None), &[&bundle, &proxy]),
        (place("configmaps", Some("demo"), None), &[&bundle]),
        (
            place("configmaps", Some("demo"), Some("kube-root-ca.crt")),
            &[&bundle],
        ),
        (place("configmaps", Some("demo"), Some("kube-proxy")), &[]),
        (place("configmaps", Some("kube-system"), None), &[&bundle, &proxy]),
        (
            place("configmaps", Some("kube-system"), Some("kube-proxy")),
            &[&proxy],
        ),
        (place("secrets", None, None), &[]),
        (place("endpoints", Some("default"), Some("kubernetes")), &[]),
        (Place::all("metrics.k8s.io", "pods"), &[]),
    ] {
        for filters in [&bundle, &service, &env, &proxy, &none] {
            let wanted = concerned.iter().any(|one| std::ptr::eq(*one, filters));
            assert_eq!(filters.concerns(&place), wanted, "{filters:?} {place:?}");
            assert_eq!(filters.fingerprint(&place) != 0, wanted, "{filters:?} {place:?}");
        }
    }
}

/// Stored objects are known by these numbers: they change only when a filter's `RULES` does.
#[test]
fn fingerprints_are_the_same_in_each_build() {
    let filters = Filters::new(&all()).unwrap();
    let of = |resource| filters.fingerprint(&Place::all("", resource));
    assert_eq!(
        [of("services"), of("pods"), of("configmaps")],
        [
            0xec8f_aba3_c780_68d6,
            0x37e1_90cf_9da2_f848,
            0x7818_95da_e6c3_02e0
        ]
    );
}

#[test]
fn a_fingerprint_changes_with_what_the_answer_depends_on_and_with_nothing_else() {
    let before = Filters::new(&all()).unwrap();
    for (change, changed) in [
        (
            (|settings| settings.trust_bundle = Some(CA.replace("MIIB", "MIIC"))) as fn(&mut Settings),
            "configmaps",
        ),
        (
            |settings| settings.kubernetes_service = Some(server(1)),
            "services",
        ),
        (|settings| settings.kubernetes_service = None, "services"),
        (|settings| settings.service_env = Some(server(1)), "pods"),
        (
            |settings| settings.kube_proxy_config = Some(server(1)),
            "configmaps",
        ),
        (|settings| settings.kube_proxy_config = None, "configmaps"),
    ] {
        let mut settings = all();
        change(&mut settings);
        let after = Filters::new(&settings).unwrap();
        for resource in ["services", "pods", "configmaps"] {
            let place = Place::all("", resource);
            let differs = before.fingerprint(&place) != after.fingerprint(&place);
            assert_eq!(differs, resource == changed, "{resource} {settings:?}");
        }
    }
    // What stands around the certificates does not count.
    let mut settings = all();
    settings.trust_bundle = Some(format!("# CA of this node\n\n{CA}\n"));
    let place = Place::all("", "configmaps");
    let after = Filters::new(&settings).unwrap();
    assert_eq!(after.fingerprint(&place), before.fingerprint(&place));
}

#[test]
fn settings_that_would_cut_pods_off_are_refused() {
    let mut settings = all();
    settings.trust_bundle = Some("no PEM".to_owned());
    assert_eq!(Filters::new(&settings).unwrap_err(), BadSettings::NoCertificate);
    let zero: [fn(&mut Settings); 3] = [
        |settings| settings.kubernetes_service = Some(server(0)),
        |settings| settings.service_env = Some(server(0)),
        |settings| settings.kube_proxy_config = Some(server(0)),
    ];
    for change in zero {
        let mut settings = all();
        change(&mut settings);
        assert_eq!(Filters::new(&settings).unwrap_err(), BadSettings::PortZero);
    }
}

#[test]
fn filters_are_named_and_carry_openyurts_names() {
    let names: Vec<_> = Filters::new(&all()).unwrap().names().collect();
    let table: Vec<_> = names
        .iter()
        .map(|name| (name.to_string(), name.openyurt()))
        .collect();
    assert_eq!(names[0], FilterName::TrustBundle);
    assert_eq!(
        table,
        [
            ("trust_bundle".to_owned(), None),
            ("kubernetes_service".to_owned(), Some("masterservice")),
            ("service_env".to_owned(), Some("serviceenvupdater")),
            ("kube_proxy_config".to_owned(), Some("inclusterconfig")),
        ]
    );
}
