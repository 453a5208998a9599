//! The address for pods, in a network of its own: on a dummy link, on a bridge where there are no dummies, and on the
//! loopback link where there is neither.
//!
//! Kernels differ in what they have: the program `ip` is stood in for, so that each kind is had or not as the case wants.

use std::process::Command;

use yurt_testkit::process::Program;
use yurt_testkit::wait_for;

use crate::bad_days::prepared;
use crate::hub::SOON;

/// Makes the links in `$HAS` and refuses others. A dummy may really be a bridge: this kernel may have none.
const IP: &str = r#"#!/bin/sh
case "$*" in
  *"type dummy"*) case "$HAS" in *dummy*) exec "$REAL" link add "$3" type bridge ;; *) echo "Unknown device type." >&2; exit 2 ;; esac ;;
  *"type bridge"*) case "$HAS" in *bridge*) ;; *) echo "Unknown device type." >&2; exit 2 ;; esac ;;
esac
exec "$REAL" "$@"
"#;

/// Stands in for `ip` in a network and mounts of its own, then becomes yurthub.
const STAGE: &str = r#"
cp "$(readlink -f "$IP")" "$REAL" &&
mount --bind "$STAND_IN" "$(readlink -f "$IP")" &&
"$REAL" link set lo up &&
exec "$@"
"#;

#[tokio::test]
async fn the_address_for_pods_goes_on_the_best_link_that_the_kernel_has() {
    let found = Command::new("sh").args(["-c", "command -v ip"]).output().unwrap();
    let ip = String::from_utf8(found.stdout).unwrap().trim().to_owned();
    for (has, link) in [
        ("dummy bridge", "yurthub0"),
        ("dummy", "yurthub0"),
        ("bridge", "yurthub0"),
        ("", "lo"),
    ] {
        let (folder, args) = prepared().await;
        let (real, stand_in) = (folder.path().join("ip-real"), folder.path().join("ip"));
        std::fs::write(&stand_in, IP).unwrap();
        Command::new("chmod").arg("755").arg(&stand_in).status().unwrap();
        let hub = Program::new("unshare", folder.path().join("yurthub.log"))
            .args([
                "--net",
                "--mount",
                "sh",
                "-c",
                STAGE,
                "sh",
                env!("CARGO_BIN_EXE_yurthub"),
            ])
            .args(args)
            .arg("--listen-pods=169.254.2.1:10268")
            .env("IP", &ip)
            .env("REAL", &real)
            .env("STAND_IN", &stand_in)
            .env("HAS", has)
            .start()
            .unwrap();
        wait_for("pods to be served", SOON, async || {
            hub.log().contains("pods are served")
        })
        .await;
        let pid = hub.pid().to_string();
        let shown = Command::new("nsenter")
            .args(["--net", "--target", &pid])
            .arg(&real)
            .args(["-oneline", "address", "show", "to", "169.254.2.1"])
            .output()
            .unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert_eq!(
            shown.split_whitespace().nth(1),
            Some(link),
            "with `{has}`: {shown}\n{}",
            hub.log()
        );
        assert!(shown.contains("169.254.2.1/32"), "{shown}");
        let made_of = if has.contains("dummy") { "dummy" } else { "bridge" };
        let refused = hub.log().matches("this kernel has no such link").count();
        let expected = ["dummy", "bridge"]
            .iter()
            .filter(|kind| !has.contains(**kind))
            .count();
        let expected = if made_of == "dummy" { 0 } else { expected };
        assert_eq!(refused, expected, "with `{has}`:\n{}", hub.log());
    }
}
