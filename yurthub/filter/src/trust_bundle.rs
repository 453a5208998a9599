//! Appends yurthub's CA to the CA bundle that each pod gets (`ca.crt` beside its token).
//!
//! The bundle is the `ConfigMap` that `kube-controller-manager` keeps in each namespace
//! (`k8s.io/kubernetes/pkg/controller/certificates/rootcacertpublisher`); the kubelet projects it into pods and
//! keeps the file up to date in those that run. What the bundle held stays, so the cluster's own API servers
//! are trusted as before. Invariant: a certificate that is there is not added again.

use yurthub_object::{Encoding, rewrite::Rewritten};

use crate::{BadSettings, FilterName, ObjectFilter, Place, config_map, filter::is_named};

const NAME: &str = "kube-root-ca.crt";
const KEY: &str = "ca.crt";
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// Grows when the code gives another answer than before.
const RULES: u32 = 1;

/// The filter.
#[derive(Debug)]
pub struct TrustBundle {
    /// PEM blocks, from `BEGIN` to `END`.
    certificates: Vec<String>,
}

impl TrustBundle {
    /// For the certificates in `pem`.
    pub fn new(pem: &str) -> Result<Self, BadSettings> {
        let certificates: Vec<_> = blocks(pem).map(str::to_owned).collect();
        if certificates.is_empty() {
            return Err(BadSettings::NoCertificate);
        }
        Ok(Self { certificates })
    }

    /// The bundle with what it lacks; `None` when it lacks nothing, or is no bundle of certificates.
    fn completed(&self, bundle: &str) -> Option<String> {
        blocks(bundle).next()?;
        let is_there = |wanted: &str| blocks(bundle).any(|block| same(block, wanted));
        let mut missing = self
            .certificates
            .iter()
            .filter(|wanted| !is_there(wanted))
            .peekable();
        missing.peek()?;
        let mut out = bundle.to_owned();
        for block in missing {
            if !out.ends_with('\n') {
                out.push('\n');
            }
            out.push_str(block);
            out.push('\n');
        }
        Some(out)
    }
}

impl ObjectFilter for TrustBundle {
    fn name(&self) -> FilterName {
        FilterName::TrustBundle
    }

    fn concerns(&self, place: &Place<'_>) -> bool {
        place.is_core("configmaps") && place.may_hold(None, NAME)
    }

    fn answers_by(&self) -> String {
        format!("{RULES} {}", self.certificates.join("\n"))
    }

    fn apply(&self, encoding: Encoding, item: &[u8]) -> Rewritten {
        if !is_named(encoding, item, None, NAME)? {
            return Ok(None);
        }
        config_map::data(encoding, item, KEY, |bundle| self.completed(bundle))
    }
}

/// The certificates in PEM text, markers included. As in Go, a block without an end hides none behind it.
fn blocks(pem: &str) -> impl Iterator<Item = &str> {
    let mut rest = pem;
    std::iter::from_fn(move || {
        let (_, block) = rest.split_at_checked(rest.find(BEGIN)?)?;
        let (block, behind) = block.split_at_checked(block.find(END)? + END.len())?;
        rest = behind;
        block.get(block.rfind(BEGIN)?..)
    })
}

/// Whether two PEM blocks are the same certificate: lines may be folded otherwise.
fn same(one: &str, other: &str) -> bool {
    let signs = |block: &str| -> Vec<u8> {
        let bytes = block.bytes();
        bytes.filter(|byte| !byte.is_ascii_whitespace()).collect()
    };
    signs(one) == signs(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(body: &str) -> String {
        format!("{BEGIN}\n{body}\n{END}")
    }

    #[test]
    fn what_a_bundle_lacks_is_appended_once() {
        let [cluster, old, new] = ["AAAA\nBBBB", "CCCC", "DDDD"].map(block);
        let hub = format!("# the hub's CA\n{old}\n\n{new}");
        let filter = TrustBundle::new(&hub).unwrap();
        let folded = block("CC\r\nCC");
        for (bundle, want) in [
            (cluster.clone(), Some(format!("{cluster}\n{old}\n{new}\n"))),
            (format!("{cluster}\n"), Some(format!("{cluster}\n{old}\n{new}\n"))),
            (
                format!("{folded}\n{cluster}\n"),
                Some(format!("{folded}\n{cluster}\n{new}\n")),
            ),
            (
                format!("{cluster}\n{BEGIN}\nEEEE"),
                Some(format!("{cluster}\n{BEGIN}\nEEEE\n{old}\n{new}\n")),
            ),
            (format!("{new}{cluster} {old}"), None),
            (String::new(), None),
            ("not a bundle".to_owned(), None),
        ] {
            assert_eq!(filter.completed(&bundle), want, "{bundle}");
            if let Some(want) = want {
                assert_eq!(filter.completed(&want), None, "not a second time");
            }
        }
    }

    #[test]
    fn a_bundle_without_a_certificate_is_refused() {
        for pem in [
            "",
            "x",
            BEGIN,
            END,
            "-----END CERTIFICATE----------BEGIN CERTIFICATE-----",
        ] {
            assert_eq!(
                TrustBundle::new(pem).unwrap_err(),
                BadSettings::NoCertificate,
                "{pem}"
            );
        }
    }
}
