//! Flags of a kubelet that yurtctl has never heard of (pure). Where a unit's command is repeated with our flags at its end,
//! such a flag may be a program's that is no kubelet at all, or a newer kubelet's with a meaning that matters to us.

use super::{Finding, warning};

/// `kubelet --help` of Kubernetes 1.34, and what its elder versions down to 1.31 had.
const KNOWN: &str = include_str!("kubelet-flags.txt");

/// `command`: the unit's, with its variables as they are written.
pub(super) fn unknown(command: &str) -> Option<Finding> {
    let flags = command
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("--"));
    let names = flags.map(|flag| flag.split('=').next().unwrap_or(flag));
    let unknown: Vec<_> = names
        .filter(|name| !KNOWN.lines().any(|known| known == *name))
        .map(|name| format!("--{name}"))
        .collect();
    if unknown.is_empty() {
        return None;
    }
    Some(warning(
        "unknown-flags",
        format!(
            "its kubelet is started with flags that are not known here: {}",
            unknown.join(", ")
        ),
        "make sure that none of them names another apiserver, kubeconfig or configuration; then there is nothing to do",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_no_kubelet_has_are_told() {
        let of = |command: &str| unknown(command).map(|finding| finding.what);
        assert_eq!(
            of("/usr/bin/kubelet $ARGS --config=/c --kubeconfig /k --v=2"),
            None
        );
        let told = of("/usr/bin/wrapper --frob --config=/c --frob-more=1").unwrap();
        assert!(told.ends_with(": --frob, --frob-more"), "{told}");
    }
}
