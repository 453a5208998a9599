//! Points kube-proxy's kubeconfig to yurthub, by one word in its text.
//!
//! The text is what kubeadm writes into `ConfigMap` `kube-system/kube-proxy`
//! (`k8s.io/kubernetes/cmd/kubeadm/app/phases/addons/proxy/manifests.go`): block style, one cluster, whose CA is
//! the bundle of service accounts, which holds yurthub's CA too ([`mod@crate::trust_bundle`]). Text of another
//! shape is not guessed at and stays: of several clusters the one in use is not known here, and a cluster with a
//! CA of its own would not trust yurthub.
//!
//! kube-proxy reads the file when it starts; one that runs goes on as before until it is restarted.

use std::ops::Range;

use yurthub_object::{Encoding, rewrite::Rewritten};

use crate::{FilterName, ObjectFilter, Place, Server, config_map, filter::is_named};

const NAMESPACE: &str = "kube-system";
const NAME: &str = "kube-proxy";
const KEY: &str = "kubeconfig.conf";
/// Where the bundle lies in a pod.
const BUNDLE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
/// Grows when the code gives another answer than before.
const RULES: u32 = 1;

/// The filter.
#[derive(Debug)]
pub struct KubeProxyConfig {
    url: String,
}

impl KubeProxyConfig {
    /// Leads there.
    pub fn new(server: Server) -> Self {
        Self {
            url: format!("https://{server}"),
        }
    }

    fn point(&self, kubeconfig: &str) -> Option<String> {
        let range = server(kubeconfig)?;
        let (before, old) = (kubeconfig.get(..range.start)?, kubeconfig.get(range.clone())?);
        let after = kubeconfig.get(range.end..)?;
        (old != self.url).then(|| [before, &self.url, after].concat())
    }
}

impl ObjectFilter for KubeProxyConfig {
    fn name(&self) -> FilterName {
        FilterName::KubeProxyConfig
    }

    fn concerns(&self, place: &Place<'_>) -> bool {
        place.is_core("configmaps") && place.may_hold(Some(NAMESPACE), NAME)
    }

    fn answers_by(&self) -> String {
        format!("{RULES} {}", self.url)
    }

    fn apply(&self, encoding: Encoding, item: &[u8]) -> Rewritten {
        if !is_named(encoding, item, Some(NAMESPACE), NAME)? {
            return Ok(None);
        }
        config_map::data(encoding, item, KEY, |kubeconfig| self.point(kubeconfig))
    }
}

/// Where in the text of a kubeconfig the URL of its only cluster lies; `None` for text of another shape.
fn server(text: &str) -> Option<Range<usize>> {
    let mut shape = Shape::default();
    let mut section = "";
    let mut start = 0;
    for raw in text.split_inclusive('\n') {
        let line = match Line::parse(raw, start) {
            Parsed::Nothing => None,
            Parsed::Line(line) => Some(line),
            // An element of a list, or a further line of a value: of no interest elsewhere.
            Parsed::Other { column } if column > 0 && section != "clusters" && !raw.contains(['"', '\'']) => {
                None
            }
            Parsed::Other { .. } => return None,
        };
        start += raw.len();
        let Some(line) = line else { continue };
        if line.column == 0 {
            section = line.key;
            if section == "clusters" && !line.value.is_empty() {
                return None;
            }
            shape.is_config |= line.key == "kind" && line.value == "Config";
            shape.cluster = None;
        } else if section == "clusters" {
            shape.add(&line)?;
        }
    }
    shape.url(text)
}

/// What has been seen of a kubeconfig.
#[derive(Debug, Default)]
struct Shape {
    is_config: bool,
    clusters: usize,
    /// The columns of `cluster` and of its members, while within.
    cluster: Option<(usize, usize)>,
    server: Option<Range<usize>>,
    bundled: bool,
}

impl Shape {
    /// Takes in a line of `clusters`; `None` when it is not of kubeadm's shape.
    fn add(&mut self, line: &Line<'_>) -> Option<()> {
        if line
            .value
            .starts_with(['|', '>', '{', '[', '&', '*', '!', '%', '@', '`', '?'])
        {
            return None;
        }
        let (outer, members) = match self.cluster {
            Some((outer, 0)) => (outer, line.column),
            Some(columns) => columns,
            None => (usize::MAX, 0),
        };
        if line.column > outer {
            self.cluster = Some((outer, members));
            match line.key {
                _ if line.column != members || line.dash => {}
                "server" if self.server.is_some() => return None,
                "server" => self.server = Some(line.range.clone()),
                "certificate-authority" => self.bundled = line.value == BUNDLE,
                _ => {}
            }
            return Some(());
        }
        self.cluster = None;
        if line.key == "cluster" {
            self.cluster = Some((line.column, 0));
            self.clusters += 1;
        }
        Some(())
    }

    fn url(self, text: &str) -> Option<Range<usize>> {
        let url = text.get(self.server.clone()?)?;
        let is_url = url.starts_with("https://") || url.starts_with("http://");
        let is_known = self.is_config && self.bundled && self.clusters == 1;
        self.server.filter(|_| is_url && is_known)
    }
}

/// A line `key: value` of YAML in block style.
#[derive(Debug, PartialEq, Eq)]
struct Line<'a> {
    /// Where the key stands.
    column: usize,
    /// Whether it is the first key of an element of a list.
    dash: bool,
    key: &'a str,
    /// Without quotes and comment.
    value: &'a str,
    /// Where the value lies in the whole text.
    range: Range<usize>,
}

#[derive(Debug, PartialEq, Eq)]
enum Parsed<'a> {
    /// Blank, or a comment.
    Nothing,
    Line(Line<'a>),
    Other {
        column: usize,
    },
}

impl<'a> Line<'a> {
    /// Reads one line, which begins at `start` in the whole text.
    fn parse(raw: &'a str, start: usize) -> Parsed<'a> {
        let spaces = |text: &str| text.len() - text.trim_start_matches(' ').len();
        let raw = raw.trim_end_matches(['\n', '\r', ' ']);
        let mut column = spaces(raw);
        let mut rest = raw.trim_start_matches(' ');
        if rest.is_empty() || rest.starts_with('#') {
            return Parsed::Nothing;
        }
        let dash = rest.strip_prefix("- ");
        if let Some(behind) = dash {
            column += 2 + spaces(behind);
            rest = behind.trim_start_matches(' ');
        }
        let other = Parsed::Other { column };
        let Some((key, behind)) = rest.split_once(':') else {
            return other;
        };
        let is_key = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        let separated = behind.is_empty() || behind.starts_with(' ');
        if key.is_empty() || !key.chars().all(is_key) || !separated {
            return other;
        }
        let offset = column + key.len() + 1 + spaces(behind);
        let Some(value) = scalar(behind.trim_start_matches(' ')) else {
            return other;
        };
        let offset = start + offset + value.start;
        let text = raw.get(offset - start..offset - start + value.len());
        text.map_or(other, |value| {
            Parsed::Line(Line {
                column,
                dash: dash.is_some(),
                key,
                value,
                range: offset..offset + value.len(),
            })
        })
    }
}

/// Where in a value its text lies, without quotes and comment; `None` for quoted text with escapes in it.
fn scalar(value: &str) -> Option<Range<usize>> {
    let comment = |rest: &str| rest.starts_with('#');
    let Some(quote) = value.chars().next().filter(|first| matches!(first, '"' | '\'')) else {
        let end = if comment(value) {
            0
        } else {
            value.find(" #").unwrap_or(value.len())
        };
        return Some(0..value.get(..end)?.trim_end_matches(' ').len());
    };
    let inner = value.get(1..)?;
    let end = inner.find([quote, '\\'])?;
    let behind = inner.get(end..)?.strip_prefix(quote)?;
    let is_end = behind.is_empty() || (behind.starts_with(' ') && comment(behind.trim_start_matches(' ')));
    is_end.then_some(1..1 + end)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;
    use serde_yaml::Value;

    use super::*;

    const KUBEADM: &str = "\
apiVersion: v1
kind: Config
clusters:
- cluster:
    certificate-authority: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt
    server: https://10.0.0.10:6443
  name: default
contexts:
- context:
    cluster: default
    namespace: default
    user: default
  name: default
current-context: default
users:
- name: default
  user:
    tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token";

    fn filter() -> KubeProxyConfig {
        KubeProxyConfig::new(Server {
            host: IpAddr::V4(Ipv4Addr::new(169, 254, 2, 1)),
            port: 10268,
        })
    }

    /// The text with another URL, checked by a YAML parser: nothing else has changed its meaning.
    #[track_caller]
    fn assert_only_the_url_changed(before: &str, after: &str) {
        let mut before: Value = serde_yaml::from_str(before).unwrap();
        let after: Value = serde_yaml::from_str(after).unwrap();
        let clusters = before["clusters"].as_sequence_mut().unwrap();
        assert_eq!(clusters.len(), 1);
        clusters[0]["cluster"]["server"] = Value::from("https://169.254.2.1:10268");
        assert_eq!(before, after);
    }

    #[test]
    fn one_word_of_the_text_changes() {
        let bundle = format!("certificate-authority: {BUNDLE}");
        for (from, to) in [
            ("", ""),
            (
                "server: https://10.0.0.10:6443\n",
                "server:   \"https://api.example:6443/x\" # here\n",
            ),
            (
                "server: https://10.0.0.10:6443\n",
                "server: 'http://10.0.0.10' #\n    # server: x\n\n",
            ),
            ("\n", "\r\n"),
            ("- cluster:\n", "  # one\n  - name: x\n    cluster:\n"),
            (
                "\n    certificate-authority",
                "\n    tls-server-name: \"kubernetes\"\n    certificate-authority",
            ),
            (
                "    tokenFile: ",
                "    exec:\n      args:\n      - --x\n      command: y\n    tokenFile: ",
            ),
            (
                "  name: default\ncontexts",
                "    extensions:\n    - extension:\n        server: https://other\n      name: x\n  name: default\ncontexts",
            ),
        ] {
            let mut before = if from.len() > 1 {
                KUBEADM.replacen(from, to, 1)
            } else {
                KUBEADM.replace(from, to)
            };
            if to.contains("name: x\n    cluster") {
                before = before
                    .replace("    certificate", "      certificate")
                    .replace("    server", "      server");
                before = before.replacen("  name: default\ncontexts", "contexts", 1);
            }
            assert!(before.contains(&bundle), "{before}");
            let after = filter()
                .point(&before)
                .unwrap_or_else(|| panic!("not recognised:\n{before}"));
            assert_only_the_url_changed(&before, &after);
            assert_eq!(filter().point(&after), None, "a second time");
            let url = before
                .split(['"', '\'', ' ', '\r', '\n'])
                .find(|word| word.starts_with("http"))
                .unwrap();
            assert_eq!(after, before.replacen(url, "https://169.254.2.1:10268", 1));
        }
    }

    #[test]
    fn an_address_of_ipv6_stands_in_brackets() {
        let filter = KubeProxyConfig::new(Server {
            host: IpAddr::V6(Ipv6Addr::LOCALHOST),
            port: 1,
        });
        let after: Value = serde_yaml::from_str(&filter.point(KUBEADM).unwrap()).unwrap();
        assert_eq!(
            after["clusters"][0]["cluster"]["server"],
            Value::from("https://[::1]:1")
        );
    }

    #[test]
    fn text_of_another_shape_stays() {
        let two = "- cluster:\n    server: https://b\n  name: b\ncontexts:";
        for (from, to) in [
            ("kind: Config", "kind: Other"),
            ("clusters:\n", "others:\n"),
            ("    server: https://10.0.0.10:6443\n", ""),
            ("server: https", "server: &a https"),
            (
                "server: https://10.0.0.10:6443",
                "server: \"https://10.0.0.10:6443\\x20\"",
            ),
            (
                "server: https://10.0.0.10:6443",
                "server: >-\n      https://10.0.0.10:6443",
            ),
            (
                "server: https://10.0.0.10:6443",
                "server:\n      https://10.0.0.10:6443",
            ),
            ("server:", "\"server\":"),
            ("server:", "\tserver:"),
            ("    server:", "    server: https://a\n    server:"),
            ("    certificate-authority: ", "    certificate-authority: /other"),
            ("    certificate-authority: ", "    certificate-authority-data: "),
            ("contexts:", two),
            ("- cluster:\n", "- cluster: {}\n"),
            ("clusters:\n", "clusters: [\n"),
            ("apiVersion: v1\n", "{\n"),
        ] {
            let other = KUBEADM.replacen(from, to, 1);
            assert_ne!(other, KUBEADM);
            assert_eq!(filter().point(&other), None, "{other}");
        }
        assert_eq!(filter().point(""), None);
    }

    proptest! {
        #[test]
        fn what_is_recognised_is_changed_as_a_parser_would(
            edits in prop::collection::vec((0..KUBEADM.len(), 0..8_usize, "[ \\-:#a-c\n\"'|>{}&*]{0,6}|    server: https://x\n"), 0..3)
        ) {
            let mut before = KUBEADM.to_owned();
            for (at, length, new) in edits {
                let at = at.min(before.len());
                let end = before.len().min(at + length);
                before.replace_range(at..end, &new);
            }
            if let (Some(after), Ok(Value::Mapping(_))) = (filter().point(&before), serde_yaml::from_str(&before)) {
                assert_only_the_url_changed(&before, &after);
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text: String, lines in "(kind: Config\nclusters:\n)?([ \\-]{0,4}[a-c\"':#|é]{0,4}(: )?[a-c\"'#é ]{0,5}\r?\n){0,8}") {
            let _ = filter().point(&text);
            let _ = filter().point(&lines);
        }
    }
}
