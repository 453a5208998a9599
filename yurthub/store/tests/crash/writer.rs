//! The process that is killed. It first shows what it found, then writes until it dies.
//!
//! Lines on its output: `opened N` (the store is exactly the state after batch N), `acked N` (batch N is durable).

use std::collections::{BTreeSet, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use yurthub_store::{EngineKind, OpenReport, Options, SealingKey, Store};

use crate::model::{self, State};

/// Durable writes under way at the same time, at most.
const IN_FLIGHT: usize = 6;

pub(crate) fn run(engine: EngineKind, dir: &Path, seed: u64) {
    let key = SealingKey::load_or_create(&dir.join("key")).unwrap();
    let commit_interval = Duration::from_millis(20);
    let options = Options {
        engine,
        commit_interval,
        sealing_key: Some(key),
        ..Options::default()
    };
    let (store, report) = Store::open(&dir.join("store"), options).unwrap();
    assert!(
        matches!(report, OpenReport::Clean | OpenReport::Fresh),
        "{report:?}"
    );
    let last = check(&store, seed);
    say(&format!("opened {last}"));
    let mut random = fastrand::Rng::new();
    let mut tickets = VecDeque::new();
    for number in last + 1.. {
        // Plain writes in between: they need not survive alone, but a later acknowledgement covers them.
        if random.u8(..3) == 0 {
            store.write(model::batch(seed, number)).unwrap();
        } else {
            tickets.push_back((number, store.write_durable(model::batch(seed, number))));
        }
        let limit = random.usize(..=IN_FLIGHT);
        while tickets.len() > limit {
            let (number, ticket) = tickets.pop_front().unwrap();
            ticket
                .wait()
                .unwrap_or_else(|error| panic!("batch {number} failed: {error:?}"));
            say(&format!("acked {number}"));
        }
    }
}

fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    // One write: a line is seen whole or not.
    output.write_all(format!("\n{line}\n").as_bytes()).unwrap();
    output.flush().unwrap();
}

/// The number of the last batch; fails unless the store is exactly the state after it.
fn check(store: &Store, seed: u64) -> u64 {
    let mut stored = State::new();
    let scan = store.snapshot().unwrap().scan(b"", None, &mut |key, value| {
        stored.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    });
    assert_eq!(scan.unwrap().corrupt, [] as [bytes::Bytes; 0]);
    let last = stored
        .get(model::LAST)
        .map_or(0, |last| std::str::from_utf8(last).unwrap().parse().unwrap());
    let mut expected = State::new();
    (1..=last).for_each(|number| model::advance(&mut expected, seed, number));
    let differs = difference(&stored, &expected);
    assert!(
        differs.is_empty(),
        "the store is not the state after batch {last}, a batch is torn: {differs:#?}"
    );
    last
}

/// Key, what is stored, what should be.
fn difference(stored: &State, expected: &State) -> Vec<String> {
    let keys: BTreeSet<_> = stored.keys().chain(expected.keys()).collect();
    let shown = |value: Option<&Vec<u8>>| {
        let text = |value: &Vec<u8>| {
            format!(
                "{} bytes {}",
                value.len(),
                value[..value.len().min(30)].escape_ascii()
            )
        };
        value.map_or_else(|| "nothing".to_owned(), text)
    };
    let differ = keys
        .into_iter()
        .filter(|key| stored.get(*key) != expected.get(*key));
    differ
        .map(|key| {
            format!(
                "{}: {}, not {}",
                key.escape_ascii(),
                shown(stored.get(key)),
                shown(expected.get(key))
            )
        })
        .collect()
}

/// A running writer as its driver sees it.
pub(crate) struct Writer {
    child: Child,
    acked: Arc<AtomicU64>,
    killed: Arc<AtomicBool>,
    opened: mpsc::Receiver<Result<u64, String>>,
}

impl Writer {
    pub(crate) fn start(engine: EngineKind, dir: &Path, seed: u64) -> Self {
        let mut command = crate::child(&[
            "writer",
            engine.to_string().as_str(),
            dir.to_str().unwrap(),
            &seed.to_string(),
        ]);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (acked, killed) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (sender, opened) = mpsc::channel();
        let for_thread = acked.clone();
        std::thread::spawn(move || {
            let mut rest = String::new();
            for line in output.lines().map_while(Result::ok) {
                if let Some(number) = line.strip_prefix("acked ") {
                    for_thread.fetch_max(number.parse().unwrap(), Ordering::SeqCst);
                } else if let Some(number) = line.strip_prefix("opened ") {
                    let number = number.parse().unwrap();
                    for_thread.fetch_max(number, Ordering::SeqCst);
                    let _driver_gone = sender.send(Ok(number));
                } else {
                    rest.push_str(&line);
                    rest.push('\n');
                }
            }
            let _driver_gone = sender.send(Err(rest));
        });
        Self {
            child,
            acked,
            killed,
            opened,
        }
    }

    /// Waits for the writer to have checked what it found; the number of the last batch there.
    pub(crate) fn opened(&self) -> u64 {
        match self
            .opened
            .recv_timeout(Duration::from_mins(1))
            .expect("the writer hangs")
        {
            Ok(number) => number,
            Err(output) => panic!("the writer failed:\n{output}"),
        }
    }

    /// The last batch known to be durable.
    pub(crate) fn acked(&self) -> u64 {
        self.acked.load(Ordering::SeqCst)
    }

    pub(crate) fn kill(mut self) {
        self.killed.store(true, Ordering::SeqCst);
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        // A writer that failed by itself before it was killed.
        while let Ok(message) = self.opened.recv() {
            if let Err(output) = message {
                assert!(
                    !output.contains("panicked") && !output.contains("FAILED"),
                    "the writer failed:\n{output}"
                );
            }
        }
    }
}
