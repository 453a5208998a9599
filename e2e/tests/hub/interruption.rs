//! Whatever interrupts yurtctl in a conversion or a revert, the node ends as one or the other, and a plain run does the
//! rest.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use e2e::conversion::{self, yurtctl};
use e2e::hub::guard::lock_plain;
use e2e::image::Image;
use e2e::progress::say;
use e2e::{Background, BrokenNode, Cluster, Cmd, hub, image, rounds, wait_for};

use crate::setup::{Chance, POD_DEADLINE};
use crate::trace::{assert_unknown, difference, snapshot};
use crate::walks::{Interruption, Part, Walk, all, sample};

/// What yurtctl gives a node: several times what it needs, and no more, as without its cloud it waits for all of it.
const NODE_LIMIT: &str = "--timeout=1m";
/// Three times what a node may take to be converted or as it was.
const END_DEADLINE: Duration = Duration::from_mins(6);
const JOURNAL: &str = "/var/lib/yurt-conversion/journal";
/// What is there as long as one is proposed, under way or turned back.
const UNDER_WAY: &str = "cd /var/lib/yurt-conversion 2>/dev/null && ls -d proposed.json transaction.json returning.json \
    /etc/systemd/system/yurt-conversion.service 2>/dev/null";
/// Waits until a transaction with the goal `$2`, after the one that began with the line `$1`, has come to the line `$3`,
/// and stops who carries it out right then. Prints what has happened last, if it is under way still.
const FREEZE: &str = r#"
until cd /var/lib/yurt-conversion 2>/dev/null; do sleep 0.01; done
while
  begun=$(grep '"event":"begun"' journal 2>/dev/null | tail -n 1)
  [ "$begun" = "$1" ] || ! echo "$begun" | grep -q "\"goal\":\"$2\""
do sleep 0.01; done
until pid=$(systemctl show -P MainPID yurt-conversion) && [ "$pid" != 0 ]; do sleep 0.01; done
until awk -v want="$3" '/"event":"begun"/ { found = 0 } index($0, want) { found = 1 } END { exit !found }' journal
do sleep 0.002; done
kill -STOP "$pid" && ls proposed.json transaction.json returning.json 2>/dev/null | grep -q . && tail -n 1 journal
"#;
const THAW: &str = r#"kill -CONT "$(systemctl show -P MainPID yurt-conversion)""#;
/// Says what of a conversion is there, of that which is there wholly or not at all.
const PARTS: &str = r#"
grep -q /etc/yurthub/ "/proc/$(systemctl show -P MainPID kubelet)/cmdline" && echo turned
for path in /etc/yurthub/config.yaml /usr/local/bin/yurthub /var/lib/yurthub /var/lib/yurt-conversion/installed.json \
  /var/lib/yurt-conversion/incomplete.json
do test -e "$path" && echo "$path"; done
tail -n 1 /var/lib/yurt-conversion/journal
"#;
/// All of them.
const CONVERTED: &str = "turned
/etc/yurthub/config.yaml
/usr/local/bin/yurthub
/var/lib/yurthub
/var/lib/yurt-conversion/installed.json";

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Converted,
    Plain,
}

/// A node, and what it was before all.
struct Stage<'a> {
    cluster: &'a Cluster,
    node: &'a BrokenNode,
    image: &'a Image,
    before: String,
    converted: usize,
    plain: usize,
}

#[test]
fn whatever_interrupts_a_conversion_or_a_revert_the_node_ends_as_one_or_the_other() -> Result<()> {
    let cluster = crate::setup::cluster()?;
    let node = lock_plain(&cluster)?;
    let image = image::built()?;
    image::load(&node, &image)?;
    image::load(&cluster.node("cloud1"), &image)?; // for those in the cloud, whom the node's pods wait for
    let mut chance = Chance::new("hub interruption");
    let is_soak = rounds(0, 1) == 1;
    let (conversions, mut reverts) = if is_soak { all() } else { sample(&mut chance) };
    let mut stage = Stage {
        cluster: &cluster,
        node: &node,
        image: &image,
        before: snapshot(&node)?,
        converted: 0,
        plain: 0,
    };
    let walks = conversions.len() + reverts.len();
    for walk in conversions {
        if stage.interrupt(walk)? == State::Converted {
            stage.back(reverts.pop(), false)?;
        }
    }
    while let Some(walk) = reverts.pop() {
        stage.convert()?;
        stage.back(Some(walk), is_soak && chance.number(0, 4) == 0)?;
    }
    say(format_args!(
        "hub interruption: {walks} times, {} ended converted, {} as before, none in between",
        stage.converted, stage.plain
    ));
    Ok(())
}

impl Stage<'_> {
    /// Lets the node end as it was, with an interruption, or without one. A plain run comes after an interruption: a
    /// `revert`, or a `convert` before it.
    fn back(&mut self, interruption: Option<Walk>, converts_again: bool) -> Result<()> {
        let last = interruption.map_or_else(String::new, |walk| format!("after {walk}"));
        if let Some(walk) = interruption {
            self.interrupt(walk)?;
        }
        if converts_again {
            self.convert().with_context(|| last.clone())?;
        }
        conversion::revert(self.node).with_context(|| last.clone())?;
        assert_unknown(self.cluster, self.node)?;
        self.wait_as_before().context(last)
    }

    fn convert(&self) -> Result<()> {
        let _turn = conversion::turn(self.cluster)?;
        self.yurtctl("convert")?.run_ok()?;
        ensure!(self.state()? == State::Converted, "yurtctl has not converted it");
        Ok(())
    }

    /// How it ended.
    fn interrupt(&mut self, walk: Walk) -> Result<State> {
        let start = Instant::now();
        let (at, state) = self.interrupted(walk).with_context(|| walk.to_string())?;
        match state {
            State::Converted => self.converted += 1,
            State::Plain => {
                self.wait_as_before().with_context(|| walk.to_string())?;
                self.plain += 1;
            }
        }
        say(format_args!(
            "hub interruption: {walk}: {state:?} after {:.0} s; interrupted after {at}",
            start.elapsed().as_secs_f64()
        ));
        Ok(state)
    }

    /// After a reboot kube-proxy and others come back a moment later.
    fn wait_as_before(&self) -> Result<()> {
        wait_for("the node to be as it was, byte by byte", POD_DEADLINE, || {
            let difference = difference(&self.before, &snapshot(self.node)?);
            ensure!(difference.is_empty(), "{difference}");
            Ok(Some(()))
        })
    }

    /// What had happened last when it was interrupted, and how it ended.
    fn interrupted(&self, walk: Walk) -> Result<(String, State)> {
        let _turn = conversion::turn(self.cluster)?;
        let last = format!(r#"grep '"event":"begun"' {JOURNAL} 2>/dev/null | tail -n 1"#);
        let last = self.node.exec_ok(["sh", "-c", &last])?;
        let verb = if walk.part == Part::Conversion {
            "convert"
        } else {
            "revert"
        };
        let mut run = Background::start(&self.yurtctl(verb)?)?;
        let freeze = [
            "sh",
            "-c",
            FREEZE,
            "freeze",
            last.trim(),
            walk.part.goal(),
            &walk.event(),
        ];
        let freeze = Background::start(&self.node.cmd(freeze)?)?;
        let at = wait_for("it to come there", END_DEADLINE, || {
            Ok(match freeze.lines().pop() {
                None if run.is_running()? => None,
                last => Some(last),
            })
        })?;
        let at = at.with_context(|| format!("it was not interrupted; yurtctl said {}", run.errors()))?;
        self.interrupt_by(walk.kind)?;
        wait_for("yurtctl to end", END_DEADLINE, || {
            Ok((!run.is_running()?).then_some(()))
        })?;
        self.wait_ended()?;
        let name = format!("node/{}", self.node.name());
        let ready = ["wait", "--for=condition=Ready", "--timeout=120s", &name];
        self.cluster.kubectl_cmd(ready).run_ok()?;
        let state = self
            .state()
            .with_context(|| format!("yurtctl said {}", run.errors()))?;
        Ok((at, state))
    }

    fn yurtctl(&self, verb: &str) -> Result<Cmd> {
        let args = conversion::args(verb, self.node.name(), self.image);
        let convert = (verb == "convert").then_some("--system-clients=");
        yurtctl(self.cluster, args.into_iter().chain([NODE_LIMIT]).chain(convert))
    }

    /// Who carries it out is stopped.
    fn interrupt_by(&self, kind: Interruption) -> Result<()> {
        let node = self.node;
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
                self.wait_ended()?;
                node.join()?;
            }
            // At shutdown systemd lets it go on, to end.
            Interruption::Reboot => {
                node.reboot()?;
                node.wait_booted(END_DEADLINE)?;
            }
        }
        Ok(())
    }

    /// Until nothing is under way any more.
    fn wait_ended(&self) -> Result<()> {
        wait_for("the transaction to end", END_DEADLINE, || {
            let left = self.node.exec(["sh", "-c", UNDER_WAY])?.text();
            ensure!(left.is_empty(), "it is under way: {left}");
            Ok(Some(()))
        })
    }

    fn state(&self) -> Result<State> {
        let parts = self.node.exec_ok(["sh", "-c", PARTS])?;
        let parts = parts.trim();
        let (parts, last) = parts.rsplit_once('\n').unwrap_or(("", parts));
        ensure!(
            last.contains(r#""event":"ended""#),
            "the journal ends with {last}"
        );
        match parts {
            "" => Ok(State::Plain),
            CONVERTED => {
                hub::wait_ready(self.node)?;
                Ok(State::Converted)
            }
            between => bail!("the node is in between; there is {between}; its journal ends with {last}"),
        }
    }
}
