//! `link-emulator`: the process behind one node's bad link. Started by `e2e/cluster/link.sh`, in the switch's
//! network namespace and the cluster's cgroup, with which it ends.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use link_emulator::emulator::Emulator;
use link_emulator::queue::Queue;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("link-emulator: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [socket, up, down, seed] = &args[..] else {
        bail!("expected: SOCKET QUEUE-OF-THE-WAY-UP QUEUE-OF-THE-WAY-DOWN SEED");
    };
    let number = |text: &str| {
        text.parse::<u16>()
            .with_context(|| format!("read queue {text:?}"))
    };
    let seed = seed.parse().with_context(|| format!("read seed {seed:?}"))?;
    let queue = Queue::open(number(up)?, number(down)?)?;
    Emulator::new(queue, socket.as_ref(), seed)?.run()
}

#[expect(clippy::print_stderr, reason = "goes to the log that the cluster keeps")]
fn complain(text: &str) {
    eprintln!("{text}");
}
