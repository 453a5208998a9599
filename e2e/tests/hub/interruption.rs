//! Whatever interrupts yurtctl, the node ends as one or the other.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use e2e::conversion::{self, yurtctl};
use e2e::hub::guard::lock_plain;
use e2e::image::Image;
use e2e::progress::say;
use e2e::{Background, BrokenNode, Cluster, hub, image, rounds, wait_for};

use crate::trace::{difference, snapshot};

/// Steps of a transaction, as its journal names them.
const STEPS: [&str; 6] = ["programs", "configuration", "start", "mirror", "switch", "verify"];
/// Three times what a node may take to be converted or as it was.
const END_DEADLINE: Duration = Duration::from_mins(6);
/// Where a transaction is written down while it is under way, and what has happened in it.
const TRANSACTION: &str = "/var/lib/yurt-conversion/transaction.json";
const JOURNAL: &str = "/var/lib/yurt-conversion/journal";
/// What is there as long as one is proposed, under way or turned back.
const UNDER_WAY: &str = "cd /var/lib/yurt-conversion 2>/dev/null && ls -d proposed.json transaction.json returning.json \
    /etc/systemd/system/yurt-conversion.service 2>/dev/null";
/// Waits until a transaction after the one that began with the line `$1` has come to `$2`, and stops who carries it out right
/// then. Prints whether it is under way still.
const FREEZE: &str = r#"
while [ "$(grep '"event":"begun"' "$3" 2>/dev/null | tail -n 1)" = "$1" ] ||
  ! awk -v want="$2" '/"event":"begun"/ { found = 0 } index($0, want) { found = 1 } END { exit !found }' "$3"
do sleep 0.01; done
kill -STOP "$(systemctl show -P MainPID yurt-conversion)" && test -e "$4" && echo frozen
"#;
const THAW: &str = r#"kill -CONT "$(systemctl show -P MainPID yurt-conversion)""#;

/// What interrupts a conversion.
#[derive(Debug, Clone, Copy)]
enum Interruption {
    /// The pod that brought it is killed.
    Kill,
    /// Who carries it out is killed.
    Crash,
    /// The link is cut, and comes back when the node has ended by itself.
    Cut,
    /// The node reboots.
    Reboot,
}

impl Interruption {
    const ALL: [Self; 4] = [Self::Kill, Self::Crash, Self::Cut, Self::Reboot];
}

#[test]
fn whatever_interrupts_a_conversion_the_node_ends_as_one_or_the_other() -> Result<()> {
    let cluster = crate::setup::cluster()?;
    let node = lock_plain(&cluster)?;
    let image = image::built()?;
    image::load(&node, &image)?;
    let walks: Vec<_> = STEPS
        .iter()
        .flat_map(|step| Interruption::ALL.map(|kind| (*step, kind)))
        .collect();
    // A sample that has each kind, at steps that differ; all of them in the long run.
    let steps = ["programs", "start", "mirror", "switch"];
    let sample: Vec<_> = steps.into_iter().zip(Interruption::ALL).collect();
    let chosen = if rounds(0, 1) == 1 { &walks[..] } else { &sample };
    let (mut converted, mut plain) = (0, 0);
    for (step, kind) in chosen {
        let before = snapshot(&node)?;
        let is_converted = interrupted(&cluster, &node, &image, step, *kind)
            .with_context(|| format!("{kind:?} at step {step}"))?;
        if is_converted {
            converted += 1;
            conversion::revert(&node)?;
        } else {
            plain += 1;
        }
        let difference = difference(&before, &snapshot(&node)?);
        ensure!(
            difference.is_empty(),
            "{kind:?} at step {step} has left:\n{difference}"
        );
    }
    say(format_args!(
        "hub conversion: interrupted {} times, {converted} ended converted, {plain} as before, none in between",
        chosen.len()
    ));
    Ok(())
}

/// Whether the node ended converted.
fn interrupted(
    cluster: &Cluster,
    node: &BrokenNode,
    image: &Image,
    step: &str,
    kind: Interruption,
) -> Result<bool> {
    let _turn = conversion::turn(cluster)?;
    let last = format!(r#"grep '"event":"begun"' {JOURNAL} 2>/dev/null | tail -n 1"#);
    let last = node.exec_ok(["sh", "-c", &last])?;
    let convert = yurtctl(cluster, conversion::args("convert", node, image))?.arg("--system-clients=");
    let mut run = Background::start(&convert)?;
    let begun = format!(r#""event":"started","step":"{step}""#);
    let freeze = [
        "sh",
        "-c",
        FREEZE,
        "freeze",
        last.trim(),
        &begun,
        JOURNAL,
        TRANSACTION,
    ];
    let frozen = node.cmd(freeze)?.deadline(END_DEADLINE).run_ok()?;
    ensure!(
        frozen.trim() == "frozen",
        "it ended before it could be interrupted"
    );
    match kind {
        Interruption::Kill => {
            node.exec_ok(["pkill", "-KILL", "-f", "servant carry-out"])?;
            node.exec_ok(["sh", "-c", THAW])?;
        }
        Interruption::Crash => {
            node.exec_ok(["systemctl", "kill", "--signal=KILL", "yurt-conversion"])?;
        }
        Interruption::Cut => {
            node.cut()?;
            node.exec_ok(["sh", "-c", THAW])?;
        }
        // At shutdown systemd lets it go on, to end.
        Interruption::Reboot => {
            node.reboot()?;
            node.wait_booted(END_DEADLINE)?;
        }
    }
    wait_for("the transaction to end", END_DEADLINE, || {
        let left = node.exec(["sh", "-c", UNDER_WAY])?.text();
        ensure!(left.is_empty(), "it is under way: {left}");
        Ok(Some(()))
    })?;
    if matches!(kind, Interruption::Cut) {
        node.join()?;
    }
    wait_for("yurtctl to end", END_DEADLINE, || {
        Ok((!run.is_running()?).then_some(()))
    })?;
    let output = run.errors();
    let name = format!("node/{}", node.name());
    cluster
        .kubectl_cmd(["wait", "--for=condition=Ready", "--timeout=120s", &name])
        .run_ok()?;
    let journal = node.exec_ok(["cat", JOURNAL])?;
    let last = journal.lines().last().unwrap_or_default().to_owned();
    let turned = "grep -q /etc/yurthub/ /proc/$(systemctl show -P MainPID kubelet)/cmdline";
    let is_turned = node.exec(["sh", "-c", turned])?.status.success();
    if last.contains(r#""outcome":"converted""#) {
        ensure!(is_turned, "the kubelet is not turned; yurtctl said {output}");
        hub::wait_ready(node)?;
        return Ok(true);
    }
    if last.contains(r#""outcome":"rolledBack""#) {
        ensure!(!is_turned, "the kubelet is turned; yurtctl said {output}");
        return Ok(false);
    }
    bail!("the journal ends with {last}; yurtctl said {output}")
}
