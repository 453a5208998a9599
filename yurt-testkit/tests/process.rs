//! What the kit starts and writes ends with whoever asked for it, also when that is killed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use yurt_testkit::process::{Process, Program, is_alive, was_killed};
use yurt_testkit::scratch::Scratch;
use yurt_testkit::wait_for;

const DEADLINE: Duration = Duration::from_secs(30);

/// Names the file through which [`a_process_to_be_killed`] tells what it started; without it, that does nothing.
const REPORT: &str = "YURT_TESTKIT_REPORT";

fn sleeper(folder: &Path) -> anyhow::Result<Process> {
    Program::new("/bin/sleep", folder.join("log")).arg("3600").start()
}

/// Not a test by itself: the next one runs it in a process of its own, and kills that.
#[test]
fn a_process_to_be_killed() {
    let Some(report) = std::env::var_os(REPORT) else {
        return;
    };
    let scratch = Scratch::new().unwrap();
    let process = sleeper(scratch.path()).unwrap();
    let draft = PathBuf::from(&report).with_extension("draft");
    std::fs::write(&draft, format!("{}\n{}", process.pid(), scratch.path().display())).unwrap();
    std::fs::rename(draft, report).unwrap();
    loop {
        std::thread::park();
    }
}

#[tokio::test]
async fn nothing_outlives_a_killed_test() {
    let scratch = Scratch::new().unwrap();
    let report = scratch.path().join("report");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_process_to_be_killed"])
        .env(REPORT, &report)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let told = wait_for("the report", DEADLINE, async || std::fs::read_to_string(&report)).await;
    let (pid, folder) = told.split_once('\n').unwrap();
    let (pid, folder): (i32, &Path) = (pid.parse().unwrap(), Path::new(folder));
    assert!(is_alive(pid) && folder.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("the program and the folder to be gone", DEADLINE, async || {
        !is_alive(pid) && !folder.exists()
    })
    .await;
}

#[test]
fn a_program_outlives_the_thread_that_started_it() {
    let scratch = Scratch::new().unwrap();
    let folder = scratch.path().to_owned();
    let mut process = std::thread::spawn(move || sleeper(&folder).unwrap())
        .join()
        .unwrap();
    // A parent-death signal would have been sent before `join` returned.
    assert!(process.ended().unwrap().is_none() && is_alive(process.pid()));
}

#[test]
fn dropping_kills_and_removes() {
    let scratch = Scratch::new().unwrap();
    let folder = scratch.path().to_owned();
    let process = sleeper(&folder).unwrap();
    let pid = process.pid();
    assert!(is_alive(pid));
    drop(process);
    assert!(!is_alive(pid));
    drop(scratch);
    assert!(!folder.exists());
}

#[tokio::test]
async fn it_is_killed_restarted_and_measured() {
    let scratch = Scratch::new().unwrap();
    let log = scratch.path().join("log");
    let busy = "echo \"hello $WHO\"; echo oops >&2; while :; do :; done";
    let mut process = Program::new("/bin/sh", &log)
        .args(["-c", busy])
        .env("WHO", "you")
        .start()
        .unwrap();
    wait_for("50 ms of work", DEADLINE, async || {
        process.cpu_time().unwrap() >= Duration::from_millis(50)
    })
    .await;
    assert!(process.rss().unwrap() > 100 << 10);
    assert_eq!(process.log(), "hello you\noops\n");
    let first = process.pid();
    process.restart().unwrap();
    assert!(!is_alive(first) && is_alive(process.pid()) && process.pid() != first);
    wait_for("the second greeting", DEADLINE, async || {
        process.log().ends_with("hello you\noops\n")
    })
    .await;
    assert!(was_killed(process.kill().unwrap()));
}

#[tokio::test]
async fn it_tells_how_a_program_ended() {
    let scratch = Scratch::new().unwrap();
    let script = Program::new("/bin/sh", scratch.path().join("log")).args(["-c", "exit 7"]);
    let mut process = script.start().unwrap();
    let status = wait_for("the end", DEADLINE, async || process.ended().unwrap()).await;
    assert_eq!(status.code(), Some(7));

    let mut process = sleeper(scratch.path()).unwrap();
    process.signal(Signal::TERM).unwrap();
    let status = wait_for("the end", DEADLINE, async || process.ended().unwrap()).await;
    assert_eq!(status.code(), Some(128 + 15));
}
