//! `cargo xtask test` and `e2e`: the stages that judge the repository, cheapest first.
//!
//! Invariants: the first stage that fails ends the run with a failure; a test cluster that we made is gone at the
//! end, however it comes; the last lines are the test runners' own summaries, and those of tests that failed once.

use std::num::NonZero;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args as ClapArgs;
use e2e::hub::guard::NODES;
use e2e::progress::say;
use e2e::{Cluster, Profile, builds, image};

use crate::guard::{self, Guard};
use crate::manifests;
use crate::second_chance::Failed;
use crate::stage::{self, Outcome, Stage};
use crate::tidy;

const MINUTE: Duration = Duration::from_mins(1);

#[derive(ClapArgs)]
pub(crate) struct Args {
    /// Leave out the tests on the real cluster
    #[arg(long)]
    no_e2e: bool,
    /// Run only tests whose name contains this
    filter: Option<String>,
}

#[derive(ClapArgs)]
pub(crate) struct E2eArgs {
    /// Leave the cluster running
    #[arg(long)]
    keep: bool,
    /// Run only tests whose name contains this
    filter: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let filter = args.filter.as_deref();
    let mut report = Report::new();
    let judged = judge(args.no_e2e, filter, &mut report);
    report.print();
    judged.map(|()| ExitCode::SUCCESS)
}

pub(crate) fn run_e2e(args: &E2eArgs) -> Result<ExitCode> {
    let mut report = Report::new();
    let judged = judge_on_cluster(args.filter.as_deref(), args.keep, &mut report);
    report.print();
    judged.map(|()| ExitCode::SUCCESS)
}

fn judge(no_e2e: bool, filter: Option<&str>, report: &mut Report) -> Result<()> {
    report.time("tidy", || tidy::check().map(|()| Vec::new()))?;
    for stage in static_checks() {
        report.stage(&stage)?;
    }
    // Helm judges the chart; component tests start the real etcd and apiserver.
    report.time("setup", ensure_builds)?;
    report.time("chart and manifests", || manifests::check().map(|()| Vec::new()))?;
    let test = ["test", "--workspace", "--exclude", "e2e", "--no-fail-fast"];
    let tests = Stage::cargo("unit and component tests", 30 * MINUTE, &test).filter(filter);
    let tests = tests.test_threads(waiting_tests());
    if no_e2e {
        return report.stage(&tests);
    }
    // Tests mostly wait, and compilers never do.
    let image = Stage::cargo("programs and image, meanwhile", 60 * MINUTE, &["xtask", "image"]);
    report.stages(&[tests, image.yielding().label("image | ")])?;
    judge_on_cluster(filter, false, report)
}

fn static_checks() -> [Stage; 3] {
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    let doc = ["doc", "--workspace", "--no-deps"];
    [
        Stage::cargo("format", 2 * MINUTE, &["fmt", "--all", "--check"]),
        Stage::cargo("clippy", 30 * MINUTE, &clippy),
        Stage::cargo("docs", 20 * MINUTE, &doc).env("RUSTDOCFLAGS", "-D warnings"),
    ]
}

/// How many tests run at a time: component tests mostly wait for a server or for a deadline, not for a processor.
fn waiting_tests() -> usize {
    4 * thread::available_parallelism().map_or(1, NonZero::get)
}

fn judge_on_cluster(filter: Option<&str>, keep: bool, report: &mut Report) -> Result<()> {
    report.time("setup", ensure_builds)?;
    // Compiled before there is a cluster that would compete for the processor.
    let build = ["test", "--package", "e2e", "--no-run"];
    report.stage(&Stage::cargo("build of the e2e tests", 30 * MINUTE, &build))?;
    report.time("programs and image as shipped", || {
        image::build().map(|_| Vec::new())
    })?;
    let guard = Guard::post(guard::test_instances()?)?;
    let tested = test_on_cluster(filter, report);
    let removed = if keep {
        guard.leave_up()
    } else {
        report.time("cluster down", || guard.take_down().map(|()| Vec::new()))
    };
    tested.and(removed)
}

fn test_on_cluster(filter: Option<&str>, report: &mut Report) -> Result<()> {
    report.time("cluster up", || {
        Cluster::attach_or_up(Profile::Default).map(|_| Vec::new())
    })?;
    let [shared, own, tunnel] = e2e_tests().map(|stage| stage.filter(filter));
    let beside = report.stages(&[shared, own]);
    let last = report.stage(&tunnel);
    beside.and(last)
}

/// Those that share the cluster that runs, and beside them those that bring up clusters of their own: both mostly wait. Then
/// those of the tunnel, which measure seconds.
fn e2e_tests() -> [Stage; 3] {
    let test = ["test", "--package", "e2e", "--no-fail-fast"];
    // As many tests as the shared cluster has edge nodes break one at a time.
    let shared = ["--lib", "--test", "cluster", "--test", "hub"];
    let own = ["chart", "clouds", "eviction", "waves"].map(|name| ["--test", name]);
    [
        Stage::cargo("e2e tests, shared cluster", 60 * MINUTE, &test)
            .args(&shared)
            .test_threads(NODES.len()),
        Stage::cargo("e2e tests, own clusters", 60 * MINUTE, &test)
            .args(own.as_flattened())
            .label("own | "),
        Stage::cargo("e2e tests, tunnel", 30 * MINUTE, &test).args(&["--test", "tunnel"]),
    ]
}

fn ensure_builds() -> Result<Vec<String>> {
    for instance in guard::test_instances()?.iter().take(1) {
        builds::ensure(instance)?;
    }
    Ok(Vec::new())
}

/// Runs `stage`; how it ended, and after what time.
fn timed(stage: &Stage) -> Result<(Outcome, Duration)> {
    let start = Instant::now();
    let outcome = stage::run(stage)?;
    Ok((outcome, start.elapsed()))
}

/// What was judged so far.
struct Report {
    start: Instant,
    times: Vec<(String, Duration)>,
    summaries: Vec<String>,
}

impl Report {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            times: Vec::new(),
            summaries: Vec::new(),
        }
    }

    fn stage(&mut self, stage: &Stage) -> Result<()> {
        self.stages(std::slice::from_ref(stage))
    }

    /// Runs `stages` beside each other; what failed in them is run again when all have ended.
    fn stages(&mut self, stages: &[Stage]) -> Result<()> {
        let names: Vec<_> = stages.iter().map(Stage::name).collect();
        say(format_args!("\n=== {} ===", names.join(", and ")));
        let ended = thread::scope(|scope| {
            let running: Vec<_> = stages.iter().map(|stage| scope.spawn(|| timed(stage))).collect();
            let ended = running.into_iter().map(thread::ScopedJoinHandle::join);
            ended
                .map(|ended| ended.unwrap_or_else(|_| bail!("the thread of a stage panicked")))
                .collect::<Vec<_>>()
        });
        let mut verdict = Ok(());
        for (name, ended) in names.into_iter().zip(ended) {
            let (outcome, mut time) = ended?;
            self.summaries.extend(outcome.summaries);
            let start = Instant::now();
            let judged = match outcome.again {
                Some(failed) => self.second_chance(&failed),
                None => outcome.verdict,
            };
            time += start.elapsed();
            self.times.push((name.to_owned(), time));
            verdict = verdict.and(judged);
        }
        verdict
    }

    /// Runs failed tests once more, alone.
    fn second_chance(&mut self, failed: &[Failed]) -> Result<()> {
        for failed in failed {
            let tests = failed.tests.join(", ");
            say(format_args!("\n=== once more, alone: {tests} ==="));
            let again = Stage::cargo("failed tests, once more", 15 * MINUTE, &failed.args());
            let outcome = stage::run(&again)?;
            self.summaries.extend(outcome.summaries);
            outcome
                .verdict
                .with_context(|| format!("failed twice: {tests}"))?;
            self.summaries
                .push(format!("FAILED ONCE, and passed when run alone: {tests}"));
        }
        Ok(())
    }

    /// Times something that is not a program; it returns summaries.
    fn time(&mut self, name: &str, work: impl FnOnce() -> Result<Vec<String>>) -> Result<()> {
        let start = Instant::now();
        say(format_args!("\n=== {name} ==="));
        let result = work();
        self.times.push((name.to_owned(), start.elapsed()));
        self.summaries
            .extend(result.with_context(|| format!("stage `{name}`"))?);
        Ok(())
    }

    fn print(&self) {
        say("");
        for (name, time) in &self.times {
            say(format_args!("{:>7.1} s  {name}", time.as_secs_f64()));
        }
        say(format_args!(
            "{:>7.1} s  in all",
            self.start.elapsed().as_secs_f64()
        ));
        for summary in &self.summaries {
            stage::print(summary);
        }
    }
}
