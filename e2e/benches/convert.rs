//! `cargo xtask bench convert`: what a conversion costs a node of the real cluster, and its way back. One JSON line for
//! each figure, as `bench hub` prints them; a goal that is missed is a result.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use e2e::conversion::{self, yurtctl};
use e2e::{Background, Cluster, Namespace, Node, Profile, containers, hub, image, pod};
use serde_json::{Value, json};

const ROUNDS: usize = 3;
const PODS: usize = 5;
const POD_DEADLINE: Duration = Duration::from_mins(2);
const READY_DEADLINE: &str = "--timeout=120s";

/// Until what was restarted is quiet again.
const SETTLE: Duration = Duration::from_secs(10);

/// The slowest of the rounds, of everything that is measured.
#[derive(Debug, Default)]
struct Worst {
    convert: f64,
    revert: f64,
    restarts: u32,
    failed: u32,
    asked: u32,
    down_converting: f64,
    down_restarting: f64,
}

fn main() -> Result<()> {
    let cluster = Cluster::attach_or_up(Profile::Default)?;
    let node = hub::guard::lock_plain(&cluster)?;
    let image = image::built()?;
    image::load(&node, &image)?;
    let namespace = cluster.namespace("bench-convert")?;
    let url = serve(&cluster, &node, &namespace)?;
    let mut worst = Worst::default();
    for _ in 0..ROUNDS {
        round(&cluster, &node, &namespace, &url, &mut worst)?;
    }
    let lines = [
        line("node_seconds", worst.convert, "s", 30.0, None),
        line(
            "kubelet_down_added_s",
            worst.down_converting - worst.down_restarting,
            "s",
            1.0,
            Some(worst.down_restarting),
        ),
        line(
            "app_container_restarts",
            f64::from(worst.restarts),
            "containers",
            0.0,
            None,
        ),
        line("revert_seconds", worst.revert, "s", 20.0, None),
        line(
            "failed_requests_added",
            f64::from(worst.failed),
            "requests",
            0.0,
            Some(f64::from(worst.asked)),
        ),
    ];
    for line in lines {
        print(&line);
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
fn print(line: &Value) {
    println!("{line}");
}

fn line(figure: &str, value: f64, unit: &str, goal: f64, baseline: Option<f64>) -> Value {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    let round = |value: f64| (value * 1000.0).round() / 1000.0;
    json!({
        "figure": figure, "value": round(value), "unit": unit, "baseline": baseline.map(round), "ratio": null,
        "goal": goal, "met": value <= goal, "load": load,
    })
}

/// Pods on the node behind one Service; its URL.
fn serve(cluster: &Cluster, node: &Node, namespace: &Namespace) -> Result<String> {
    let names: Vec<_> = (0..PODS).map(|number| format!("web-{number}")).collect();
    namespace.apply(names.iter().map(|name| pod(name).on(node.name())))?;
    for name in &names {
        namespace.wait_ready(name, POD_DEADLINE)?;
        cluster.kubectl([
            "-n",
            namespace.name(),
            "label",
            "pod",
            name,
            "app=web",
            "--overwrite",
        ])?;
    }
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    });
    namespace.apply_yaml(&service.to_string())?;
    let address = namespace.kubectl(["get", "service", "web", "-o", "jsonpath={.spec.clusterIP}"])?;
    Ok(format!("http://{address}/"))
}

fn round(cluster: &Cluster, node: &Node, namespace: &Namespace, url: &str, worst: &mut Worst) -> Result<()> {
    let image = image::built()?;
    let args = |verb| conversion::args(verb, node.name(), &image);
    std::thread::sleep(SETTLE);
    let health = watch_kubelet(node)?;
    node.exec_ok(["systemctl", "restart", "kubelet"])?;
    std::thread::sleep(SETTLE);
    worst.down_restarting = worst.down_restarting.max(longest_gap(&health.lines()));
    drop(health);

    let before = containers::running(node, namespace.name())?;
    let client = ask(node, url)?;
    let health = watch_kubelet(node)?;
    let _turn = conversion::turn(cluster)?;
    let start = Instant::now();
    yurtctl(cluster, args("convert"))?
        .arg("--system-clients=")
        .run_ok()?;
    worst.convert = worst.convert.max(start.elapsed().as_secs_f64());
    std::thread::sleep(SETTLE);
    worst.down_converting = worst.down_converting.max(longest_gap(&health.lines()));
    drop(health);
    let start = Instant::now();
    yurtctl(cluster, args("revert"))?.run_ok()?;
    worst.revert = worst.revert.max(start.elapsed().as_secs_f64());
    let after = containers::running(node, namespace.name())?;
    let others = before.iter().filter(|(name, id)| after.get(*name) != Some(*id));
    worst.restarts = worst.restarts.max(count(others));
    let answers = client.lines();
    let lost = answers.iter().filter(|line| *line == "LOST");
    worst.failed = worst.failed.max(count(lost));
    worst.asked = worst.asked.max(count(answers.iter()));
    let name = format!("node/{}", node.name());
    cluster
        .kubectl_cmd(["wait", "--for=condition=Ready", READY_DEADLINE, &name])
        .run_ok()?;
    Ok(())
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

/// A client that asks every 50 ms, and says what it lost.
fn ask(node: &Node, url: &str) -> Result<Background> {
    let script =
        format!("while sleep 0.05; do curl -s -o /dev/null -m 2 {url} && echo ok || echo LOST; done");
    Background::start(&node.cmd(["sh", "-c", &script])?)
}

/// Asks the kubelet every 20 ms how it is: a time in nanoseconds for each good answer.
fn watch_kubelet(node: &Node) -> Result<Background> {
    let script =
        "while sleep 0.02; do curl -s -o /dev/null -m 1 http://127.0.0.1:10248/healthz && date +%s%N; done";
    Background::start(&node.cmd(["sh", "-c", script])?).context("watch the kubelet")
}

/// The longest time between two good answers, in seconds.
fn longest_gap(times: &[String]) -> f64 {
    let times: Vec<f64> = times.iter().filter_map(|time| time.parse().ok()).collect();
    let gaps = times.windows(2).map(|pair| (pair[1] - pair[0]) / 1e9);
    gaps.fold(0.0, f64::max)
}
