//! Writers that die: by SIGKILL, by power cut on a disk with a volatile cache, and a disk that is full.
//!
//! Each test runs itself again as a child with a role (see `role`): the driver of a power cut lives in a private mount
//! namespace, so that mounts and loop devices go with it whatever happens; a writer dies with its driver.
//!
//! `STORE_POWER_CUTS` sets the number of power cuts per engine (10 if it is not set). Needs root, `/dev/fuse`, loop
//! devices, `mkfs.ext4` and `unshare`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "all of it is test"
)]

#[path = "crash/disk_full.rs"]
mod disk_full;
#[path = "crash/kill.rs"]
mod kill;
#[path = "crash/model.rs"]
mod model;
#[path = "crash/power_cut.rs"]
mod power_cut;
#[path = "crash/writer.rs"]
mod writer;

use std::env;
use std::path::Path;
use std::process::Command;

use yurthub_store::EngineKind;

const ROLE: &str = "STORE_TEST_ROLE";

/// Not a test of its own: what a child process does. Arguments come in the environment, separated by line breaks.
#[test]
fn role() {
    let Ok(role) = env::var(ROLE) else { return };
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).unwrap();
    let words: Vec<&str> = role.lines().collect();
    match words[..] {
        ["writer", engine, dir, seed] => {
            writer::run(engine.parse().unwrap(), Path::new(dir), seed.parse().unwrap());
        }
        ["power cuts", engine, dir, count] => {
            power_cut::drive(engine.parse().unwrap(), Path::new(dir), count.parse().unwrap());
        }
        ["disk"] => powercut_disk::server::run_from_environment().unwrap(),
        ["volatile disk", dir] => power_cut::drive_control(Path::new(dir)),
        ["disk full", engine, dir] => disk_full::drive(engine.parse().unwrap(), Path::new(dir)),
        _ => panic!("no such role: {role}"),
    }
}

/// This test binary in a role.
fn child(role: &[&str]) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", "role", "--nocapture", "--test-threads=1"])
        .env(ROLE, role.join("\n"));
    command
}

/// Runs a role to its end in a private mount namespace.
fn run_isolated(role: &[&str]) {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test mounts disks: run it as root, or skip it with --skip"
    );
    let inner = child(role);
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "--"])
        .arg(inner.get_program())
        .args(inner.get_args());
    let output = command.env(ROLE, role.join("\n")).output().unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "the role did not run: {text}");
    println!("{text}");
}

#[test]
fn sqlite_survives_power_cuts() {
    power_cut::run(EngineKind::Sqlite);
}

#[test]
fn sled_survives_power_cuts() {
    power_cut::run(EngineKind::Sled);
}

#[test]
fn the_disk_loses_what_is_not_synced_and_keeps_what_is() {
    let dir = tempfile::tempdir().unwrap();
    run_isolated(&["volatile disk", dir.path().to_str().unwrap()]);
}

#[test]
fn sqlite_survives_kills() {
    kill::run(EngineKind::Sqlite);
}

#[test]
fn sled_survives_kills() {
    kill::run(EngineKind::Sled);
}

#[test]
fn sqlite_heals_when_a_full_disk_has_space_again() {
    disk_full::run(EngineKind::Sqlite);
}

#[test]
fn sled_heals_when_a_full_disk_has_space_again() {
    disk_full::run(EngineKind::Sled);
}
