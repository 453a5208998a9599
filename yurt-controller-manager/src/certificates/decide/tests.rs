//! Requests as nodes make them, and as somebody makes them who has taken one over.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use serde_json::{Value, json};

use super::*;
use crate::certificates::signers;

const NOW: &str = "2026-06-01T12:00:00Z";
const HOUR: Duration = Duration::from_hours(1);

fn now() -> SystemTime {
    humantime::parse_rfc3339(NOW).unwrap()
}

/// What `edge1` asks for; a test changes some of it.
fn usual() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject("edge1", "yurt:tunnel-agents");
    params
}

fn with(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = usual();
    change(&mut params);
    params
}

fn subject(common_name: &str, organization: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, organization);
    name.push(DnType::CommonName, common_name);
    name
}

fn pem(params: &CertificateParams) -> Vec<u8> {
    let key = KeyPair::generate().unwrap();
    params
        .serialize_request(&key)
        .unwrap()
        .pem()
        .unwrap()
        .into_bytes()
}

fn with_names(names: Vec<SanType>) -> Vec<u8> {
    pem(&with(|params| params.subject_alt_names = names))
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

/// A request with these bytes by the kubelet of `edge1`, with `changes` by JSON pointer.
fn request(pem: Vec<u8>, changes: &[(&str, Value)]) -> CertificateSigningRequest {
    let mut object = json!({
        "metadata": {"name": "r", "creationTimestamp": NOW},
        "spec": {
            "signerName": "yurt.openyurt.io/tunnel-agent",
            "username": "system:node:edge1",
            "groups": ["system:nodes", "system:authenticated"],
            "extra": {},
            "usages": ["client auth", "digital signature"],
            "request": ByteString(pem),
        },
        "status": {},
    });
    for (pointer, value) in changes {
        let (parent, last) = pointer.rsplit_once('/').unwrap();
        object.pointer_mut(parent).unwrap()[last] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

fn node() -> Node {
    serde_json::from_value(json!({
        "metadata": {"name": "edge1"},
        "status": {"addresses": [
            {"type": "Hostname", "address": "edge1"},
            {"type": "InternalIP", "address": "10.0.0.1"},
            {"type": "InternalIP", "address": "fd00::1"},
            {"type": "ExternalDNS", "address": "edge1.shop.example"},
        ]},
    }))
    .unwrap()
}

fn verdict_with(
    request: &CertificateSigningRequest,
    node: Option<&Node>,
    forgotten: &[(&str, &str)],
    at: SystemTime,
) -> Verdict {
    let signer = signers::of(&request.spec.signer_name).unwrap();
    let list = forgotten
        .iter()
        .map(|(node, text)| ((*node).to_owned(), (*text).to_owned()));
    let facts = Facts {
        namespace: "yurt-system",
        node,
        forgotten: &Forgotten::of(&list.collect::<BTreeMap<_, _>>()),
        lifetime: 24 * HOUR,
        now: at,
    };
    decide(request, signer, &facts)
}

fn verdict(request: &CertificateSigningRequest) -> Verdict {
    verdict_with(request, Some(&node()), &[], now())
}

/// `signed`, or the reason.
fn short(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Settled => "settled",
        Verdict::Wait(_) => "wait",
        Verdict::Sign(_) => "signed",
        Verdict::Refuse(reason) => reason.as_str(),
    }
}

#[test]
fn a_node_gets_a_certificate_for_itself() {
    let names = vec![
        dns("edge1"),
        dns("edge1.shop.example"),
        SanType::IpAddress([10, 0, 0, 1].into()),
    ];
    let Verdict::Sign(grant) = verdict(&request(with_names(names), &[])) else {
        panic!("refused");
    };
    assert_eq!((grant.node.as_str(), grant.names.len()), ("edge1", 3));
    assert_eq!(grant.not_before, now() - BACKDATED);
    assert_eq!(grant.not_after, now() + 24 * HOUR);
    for (seconds, expected) in [(600, HOUR / 6), (3600, HOUR), (i32::MAX, 24 * HOUR)] {
        let asked = request(pem(&usual()), &[("/spec/expirationSeconds", json!(seconds))]);
        let Verdict::Sign(grant) = verdict(&asked) else {
            panic!("refused");
        };
        assert_eq!(grant.not_after, now() + expected, "{seconds}");
    }
}

#[test]
fn who_asks_is_what_the_apiserver_has_proved() {
    let account = "system:serviceaccount:yurt-system:yurt-tunnel-agent";
    let on = |node: Value| json!({"authentication.kubernetes.io/node-name": node});
    for (user, groups, extra, expected) in [
        ("system:node:edge1", json!(["system:nodes"]), json!({}), "signed"),
        (
            "system:node:edge1",
            json!(["system:authenticated"]),
            json!({}),
            "NoNode",
        ),
        (
            "system:node:edge2",
            json!(["system:nodes"]),
            json!({}),
            "AnotherNode",
        ),
        ("system:node:", json!(["system:nodes"]), json!({}), "NoNode"),
        ("system:node:a/b", json!(["system:nodes"]), json!({}), "NoNode"),
        ("edge1", json!(["system:nodes"]), json!({}), "NoNode"),
        ("kubernetes-admin", json!(["system:masters"]), json!({}), "NoNode"),
        (account, json!([]), on(json!(["edge1"])), "signed"),
        (account, json!([]), on(json!(["edge2"])), "AnotherNode"),
        (account, json!([]), on(json!(["edge1", "edge2"])), "NoNode"),
        (account, json!([]), json!({}), "NoNode"),
        (
            "system:serviceaccount:default:yurt-tunnel-agent",
            json!([]),
            on(json!(["edge1"])),
            "NoNode",
        ),
        (
            "system:serviceaccount:yurt-system:default",
            json!([]),
            on(json!(["edge1"])),
            "NoNode",
        ),
    ] {
        let changes = [
            ("/spec/username", json!(user)),
            ("/spec/groups", groups),
            ("/spec/extra", extra),
        ];
        let verdict = verdict(&request(pem(&usual()), &changes));
        assert_eq!(short(&verdict), expected, "{changes:?}: {verdict:?}");
    }
}

#[test]
fn what_is_asked_for_must_be_what_the_signer_gives() {
    let named = |common_name, organization| {
        with(|params| params.distinguished_name = subject(common_name, organization))
    };
    let mut more = subject("edge1", "yurt:tunnel-agents");
    more.push(DnType::OrganizationalUnitName, "x");
    let mut nameless = DistinguishedName::new();
    nameless.push(DnType::OrganizationName, "yurt:tunnel-agents");
    let subject = |distinguished_name| with(|params| params.distinguished_name = distinguished_name);
    let authority = with(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    let no_authority = with(|params| params.is_ca = IsCa::ExplicitNoCa);
    let usage = |usage| with(|params| params.key_usages = vec![usage]);
    let extended = |usage| with(|params| params.extended_key_usages = vec![usage]);
    let strange = with(|params| {
        params.custom_extensions = vec![CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0])];
    });
    for (what, params, expected) in [
        (
            "another node",
            named("edge2", "yurt:tunnel-agents"),
            "AnotherNode",
        ),
        (
            "the node's user",
            named("system:node:edge1", "yurt:tunnel-agents"),
            "AnotherNode",
        ),
        ("no name", named("", "yurt:tunnel-agents"), "AnotherNode"),
        ("capitals", named("EDGE1", "yurt:tunnel-agents"), "AnotherNode"),
        ("administrators", named("edge1", "system:masters"), "Subject"),
        ("nodes", named("edge1", "system:nodes"), "Subject"),
        ("a unit", subject(more), "Subject"),
        ("no common name", subject(nameless), "Subject"),
        ("nothing", subject(DistinguishedName::new()), "Subject"),
        ("an authority", authority, "Extension"),
        ("no authority", no_authority, "signed"),
        (
            "signing certificates",
            usage(KeyUsagePurpose::KeyCertSign),
            "Extension",
        ),
        ("signatures", usage(KeyUsagePurpose::DigitalSignature), "signed"),
        (
            "servers",
            extended(ExtendedKeyUsagePurpose::ServerAuth),
            "Extension",
        ),
        ("anything", extended(ExtendedKeyUsagePurpose::Any), "Extension"),
        ("clients", extended(ExtendedKeyUsagePurpose::ClientAuth), "signed"),
        ("an unknown extension", strange, "Extension"),
    ] {
        let verdict = verdict(&request(pem(&params), &[]));
        assert_eq!(short(&verdict), expected, "{what}: {verdict:?}");
    }
}

#[test]
fn names_are_those_that_the_node_has() {
    let mail = SanType::Rfc822Name("edge1@shop.example".try_into().unwrap());
    let uri = SanType::URI("spiffe://shop/edge1".try_into().unwrap());
    for (names, expected) in [
        (vec![dns("edge1")], "signed"),
        (vec![SanType::IpAddress("fd00::1".parse().unwrap())], "signed"),
        (vec![dns("edge2")], "ForeignName"),
        (vec![dns("edge1"), dns("kubernetes.default.svc")], "ForeignName"),
        (vec![dns("*.shop.example")], "ForeignName"),
        (vec![dns("yurt-tunnel-server")], "ForeignName"),
        (vec![dns("10.0.0.1")], "ForeignName"),
        (vec![SanType::IpAddress([10, 0, 0, 2].into())], "ForeignName"),
        (
            vec![SanType::IpAddress("::ffff:10.0.0.1".parse().unwrap())],
            "ForeignName",
        ),
        (vec![mail], "ForeignName"),
        (vec![uri], "ForeignName"),
        (vec![dns("edge1"); 17], "ForeignName"),
    ] {
        let verdict = verdict(&request(with_names(names.clone()), &[]));
        assert_eq!(short(&verdict), expected, "{names:?}: {verdict:?}");
    }
}

#[test]
fn bytes_that_make_no_sense_are_refused() {
    let good = String::from_utf8(pem(&usual())).unwrap();
    let mut forged = good.clone().into_bytes();
    let end = forged.windows(5).rposition(|part| part == b"-----").unwrap();
    let end = forged[..end]
        .windows(5)
        .rposition(|part| part == b"-----")
        .unwrap();
    // A letter of the signature.
    let letter = end - 10;
    forged[letter] = if forged[letter] == b'A' { b'B' } else { b'A' };
    let wrapped = |body: &str| {
        format!("-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n")
    };
    let weak = include_str!("rsa2048.csr").as_bytes().to_vec();
    for (what, bytes, expected) in [
        ("nothing", Vec::new(), "Unreadable"),
        ("garbage", b"\xff\x00garbage".to_vec(), "Unreadable"),
        (
            "another kind",
            good.replace(" REQUEST", "").into_bytes(),
            "Unreadable",
        ),
        ("no DER", wrapped("AAAA").into_bytes(), "Unreadable"),
        (
            "deep DER",
            wrapped(&"MIAw".repeat(2000)).into_bytes(),
            "Unreadable",
        ),
        ("a forged signature", forged, "Unreadable"),
        (
            "too much",
            [good.clone().into_bytes(), vec![b'\n'; 16 << 10]].concat(),
            "Unreadable",
        ),
        ("an RSA key", weak, "WeakKey"),
    ] {
        let verdict = verdict(&request(bytes, &[]));
        assert_eq!(short(&verdict), expected, "{what}: {verdict:?}");
    }
}

#[test]
fn usages_and_times_are_those_of_a_client() {
    for (pointer, value, expected) in [
        (
            "/spec/usages",
            json!(["client auth", "digital signature", "key encipherment"]),
            "signed",
        ),
        (
            "/spec/usages",
            json!(["client auth", "digital signature", "server auth"]),
            "Usages",
        ),
        (
            "/spec/usages",
            json!(["client auth", "digital signature", "cert sign"]),
            "Usages",
        ),
        (
            "/spec/usages",
            json!(["server auth", "digital signature"]),
            "Usages",
        ),
        ("/spec/usages", json!([]), "Usages"),
        ("/spec/expirationSeconds", json!(599), "TooShort"),
        ("/spec/expirationSeconds", json!(-1), "TooShort"),
        ("/spec/expirationSeconds", json!(i32::MAX), "signed"),
    ] {
        let verdict = verdict(&request(pem(&usual()), &[(pointer, value.clone())]));
        assert_eq!(short(&verdict), expected, "{value}: {verdict:?}");
    }
}

#[test]
fn what_others_have_decided_counts_where_they_refuse() {
    let condition = |kind: &str| json!([{"type": kind, "status": "True"}]);
    let good = pem(&usual());
    let foreign = with_names(vec![dns("edge2")]);
    for (bytes, pointer, value, expected) in [
        (&good, "/status/conditions", condition("Denied"), "settled"),
        (&good, "/status/conditions", condition("Failed"), "settled"),
        (
            &good,
            "/status/certificate",
            json!(ByteString(b"x".to_vec())),
            "settled",
        ),
        (&good, "/status/conditions", condition("Approved"), "signed"),
        (
            &foreign,
            "/status/conditions",
            condition("Approved"),
            "ForeignName",
        ),
    ] {
        let request = request(bytes.clone(), &[(pointer, value.clone())]);
        let verdict = verdict(&request);
        assert_eq!(short(&verdict), expected, "{value}: {verdict:?}");
    }
}

#[test]
fn a_node_must_be_there_within_a_minute() {
    let asked = request(pem(&usual()), &[]);
    let at = |seconds| verdict_with(&asked, None, &[], now() + Duration::from_secs(seconds));
    assert_eq!((short(&at(0)), short(&at(59))), ("wait", "wait"));
    assert_eq!(short(&at(60)), "UnknownNode");
    let mut other = node();
    other.metadata.name = Some("edge2".to_owned());
    let verdict = verdict_with(&asked, Some(&other), &[], now() + HOUR);
    assert_eq!(short(&verdict), "UnknownNode");
}

#[test]
fn a_forgotten_node_gets_nothing_until_it_is_remembered() {
    let asked = request(pem(&usual()), &[]);
    let judged = |text: &str| verdict_with(&asked, Some(&node()), &[("edge1", text)], now());
    assert_eq!(short(&judged("2026-05-01T00:00:00Z")), "ForgottenNode");
    assert_eq!(short(&judged("who knows")), "ForgottenNode");
    let other = verdict_with(&asked, Some(&node()), &[("edge2", "2026-05-01T00:00:00Z")], now());
    assert_eq!(short(&other), "signed");
    // It is not dated back to before it was remembered: verifiers would refuse it.
    let Verdict::Sign(grant) = judged("2026-05-01T00:00:00Z remembered 2026-06-01T11:59:00Z") else {
        panic!("refused");
    };
    assert_eq!(grant.not_before, now() - Duration::from_secs(59));
    let Verdict::Sign(grant) = judged("2026-05-01T00:00:00Z remembered 2026-05-02T00:00:00Z") else {
        panic!("refused");
    };
    assert_eq!(grant.not_before, now() - BACKDATED);
    let ahead = judged("2026-05-01T00:00:00Z remembered 2026-06-01T12:00:09Z");
    assert_eq!(ahead, Verdict::Wait(Duration::from_secs(10)));
}

/// A request by the pod of a tunnel server on `m1`, with `changes` by JSON pointer.
fn server_request(pem: Vec<u8>, changes: &[(&str, Value)]) -> CertificateSigningRequest {
    let usual = [
        ("/spec/signerName", json!("yurt.openyurt.io/tunnel-server")),
        (
            "/spec/username",
            json!("system:serviceaccount:yurt-system:yurt-tunnel-server"),
        ),
        ("/spec/groups", json!(["system:serviceaccounts"])),
        (
            "/spec/extra",
            json!({"authentication.kubernetes.io/node-name": ["m1"]}),
        ),
        (
            "/spec/usages",
            json!(["client auth", "server auth", "digital signature"]),
        ),
    ];
    request(pem, &[&usual, changes].concat())
}

fn server_params() -> CertificateParams {
    with(|params| params.distinguished_name = subject("m1", "yurt:tunnel-servers"))
}

fn server_node(labels: &Value) -> Node {
    serde_json::from_value(json!({"metadata": {"name": "m1", "labels": labels}})).unwrap()
}

fn server_verdict(request: &CertificateSigningRequest) -> Verdict {
    verdict_with(request, Some(&server_node(&json!({}))), &[], now())
}

#[test]
fn a_server_gets_the_name_of_all_servers_whether_it_asks_for_it_or_not() {
    let mut asks = server_params();
    asks.subject_alt_names = vec![dns("yurt-tunnel-server")];
    asks.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    for params in [server_params(), asks] {
        let Verdict::Sign(grant) = server_verdict(&server_request(pem(&params), &[])) else {
            panic!("refused");
        };
        assert_eq!(grant.node, "m1");
        assert_eq!(grant.names, [Name::Dns("yurt-tunnel-server".to_owned())]);
    }
    for foreign in [dns("m1"), SanType::IpAddress([10, 0, 0, 1].into())] {
        let mut params = server_params();
        params.subject_alt_names = vec![dns("yurt-tunnel-server"), foreign];
        let verdict = server_verdict(&server_request(pem(&params), &[]));
        assert_eq!(short(&verdict), "ForeignName", "{verdict:?}");
    }
}

#[test]
fn nobody_but_the_pod_of_a_server_in_the_cloud_gets_a_servers_certificate() {
    let on = |node: &str| json!({"authentication.kubernetes.io/node-name": [node]});
    let account = "system:serviceaccount:yurt-system:yurt-tunnel-server";
    let agent = "system:serviceaccount:yurt-system:yurt-tunnel-agent";
    for (user, groups, extra, expected) in [
        (account, json!([]), on("m1"), "signed"),
        (account, json!([]), on("m2"), "AnotherNode"),
        (account, json!([]), json!({}), "NoNode"),
        (agent, json!([]), on("m1"), "NoNode"),
        (
            "system:serviceaccount:default:yurt-tunnel-server",
            json!([]),
            on("m1"),
            "NoNode",
        ),
        // The node itself is not the server on it.
        ("system:node:m1", json!(["system:nodes"]), json!({}), "NoNode"),
        ("system:node:m1", json!(["system:nodes"]), on("m1"), "NoNode"),
        ("kubernetes-admin", json!(["system:masters"]), json!({}), "NoNode"),
    ] {
        let changes = [
            ("/spec/username", json!(user)),
            ("/spec/groups", groups),
            ("/spec/extra", extra),
        ];
        let verdict = server_verdict(&server_request(pem(&server_params()), &changes));
        assert_eq!(short(&verdict), expected, "{changes:?}: {verdict:?}");
    }
    let asked = server_request(pem(&server_params()), &[]);
    for (labels, expected) in [
        (json!({"openyurt.io/is-edge-worker": "true"}), "EdgeNode"),
        (json!({"openyurt.io/is-edge-worker": "false"}), "signed"),
        (json!({"node-role.kubernetes.io/control-plane": ""}), "signed"),
    ] {
        let verdict = verdict_with(&asked, Some(&server_node(&labels)), &[], now());
        assert_eq!(short(&verdict), expected, "{labels}");
    }
    let forgotten = [("m1", "2026-05-01T00:00:00Z")];
    let verdict = verdict_with(&asked, Some(&server_node(&json!({}))), &forgotten, now());
    assert_eq!(short(&verdict), "ForgottenNode");
    assert_eq!(
        short(&verdict_with(&asked, None, &[], now() + HOUR)),
        "UnknownNode"
    );
}

#[test]
fn one_signer_does_not_give_what_another_gives() {
    let agent = with(|params| params.distinguished_name = subject("m1", "yurt:tunnel-agents"));
    let refused = server_verdict(&server_request(pem(&agent), &[]));
    assert_eq!(short(&refused), "Subject");
    for usages in [
        json!(["client auth", "digital signature"]),
        json!(["server auth", "digital signature"]),
        json!(["client auth", "server auth"]),
        json!(["client auth", "server auth", "digital signature", "cert sign"]),
    ] {
        let asked = server_request(pem(&server_params()), &[("/spec/usages", usages.clone())]);
        assert_eq!(short(&server_verdict(&asked)), "Usages", "{usages}");
    }
    // An agent's request for what a server is.
    let server = with(|params| params.distinguished_name = subject("edge1", "yurt:tunnel-servers"));
    assert_eq!(short(&verdict(&request(pem(&server), &[]))), "Subject");
}
