//! What people type.

use std::fs;
use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::objects::BUSYBOX;
use e2e::progress::say;
use e2e::{Background, Cmd, Namespace, pod, rounds, wait_for};

use crate::site::{DEADLINE, NAMESPACE, Site};

/// Bytes that `kubectl cp` carries each way.
const COPIED: u64 = 200 << 20;
/// kubectl and the apiserver speak SPDY where these are off.
const WEBSOCKETS: [&str; 2] = [
    "KUBECTL_REMOTE_COMMAND_WEBSOCKETS",
    "KUBECTL_PORT_FORWARD_WEBSOCKETS",
];
/// Serves its name, ticks, and says something more when it is told to.
const SCRIPT: &str = "echo started; mkdir -p /tmp/www; hostname >/tmp/www/index.html; httpd -p 8080 -h /tmp/www; \
                      while ! [ -e /tmp/speak ]; do sleep 0.2; done; echo after the silence; exec sleep 86400";

/// What it says then.
const SPOKEN: &str = "after the silence";

/// kubectl over `WebSocket`, or over SPDY.
fn kubectl(namespace: &Namespace, websockets: bool, args: &[&str]) -> Cmd {
    let command = namespace.kubectl_cmd(args);
    WEBSOCKETS.iter().fold(command, |command, name| {
        command.env(name, if websockets { "true" } else { "false" })
    })
}

#[test]
fn every_command_reaches_pods_on_nodes_that_nobody_can_dial() -> Result<()> {
    let site = Site::begin()?;
    let [first, second] = &site.edges;
    // The nodes are what they claim to be: nothing gets through to them.
    let url = format!("https://{}:10250/healthz", first.ip()?);
    let dialled = second.exec(["curl", "-sk", "-m", "3", &url])?;
    assert_eq!(dialled.status.code(), Some(28), "{}", dialled.text());

    let namespace = site.cluster.namespace("tunnel")?;
    let names = ["on-first", "on-second"];
    namespace.apply([
        pod(names[0]).on(first.name()).running(SCRIPT),
        pod(names[1]).on(second.name()).running(SCRIPT),
    ])?;
    for name in names {
        namespace.wait_ready(name, DEADLINE)?;
    }
    let silent = Instant::now();
    let follows = names.map(|name| Background::start(&namespace.kubectl_cmd(["logs", "-f", name])));
    for name in names {
        assert_eq!(namespace.kubectl(["logs", name])?, "started");
        for websockets in [true, false] {
            exec(&namespace, name, websockets)?;
            forward(&namespace, name, websockets)?;
        }
        terminal(&namespace, name)?;
        attach(&namespace, name)?;
        debug(&namespace, name)?;
        let node = if name == names[0] { first } else { second };
        let path = format!("/api/v1/nodes/{}/proxy/metrics/resource", node.name());
        let metrics = site.cluster.kubectl(["get", "--raw", &path])?;
        ensure!(metrics.contains("node_memory_working_set_bytes"), "{metrics}");
    }
    keep_alive(&site, first.name())?;
    let (there, back) = copy(&namespace, names[0])?;

    let silence = Duration::from_mins(rounds(2, 60).try_into()?);
    std::thread::sleep(silence.saturating_sub(silent.elapsed())); // the silence itself is what is tested
    for (name, follow) in names.into_iter().zip(follows) {
        let follow = follow?;
        // What it has said until now is from before the silence.
        let lines = follow.lines();
        assert_eq!(
            lines.first().map(String::as_str),
            Some("started"),
            "{}",
            follow.errors()
        );
        assert!(!lines.contains(&SPOKEN.to_owned()), "{lines:?}");
        namespace.kubectl(["exec", name, "--", "touch", "/tmp/speak"])?;
        wait_for("the line after the silence", DEADLINE, || {
            Ok(follow.lines().contains(&SPOKEN.to_owned()).then_some(()))
        })?;
    }
    say(format_args!(
        "tunnel commands: {} MiB there in {there:.1} s and back in {back:.1} s; logs -f went on after {} s of silence",
        COPIED >> 20,
        silence.as_secs()
    ));
    Ok(())
}

/// Output, exit status, and an input that ends before the output does.
fn exec(namespace: &Namespace, pod: &str, websockets: bool) -> Result<()> {
    let run = |args: &[&str]| {
        kubectl(
            namespace,
            websockets,
            &[&["exec", "-i", pod, "--"], args].concat(),
        )
    };
    assert_eq!(run(&["hostname"]).run_ok()?, pod);
    let failed = run(&["sh", "-c", "exit 7"]).run()?;
    assert_eq!(failed.status.code(), Some(7), "{}", failed.errors());
    let counted = run(&["sh", "-c", "cat | wc -c; echo end"]).stdin(vec![b'x'; 3 << 20]);
    assert_eq!(counted.run_ok()?, format!("{}\nend", 3 << 20));
    Ok(())
}

/// A terminal whose size changes.
fn terminal(namespace: &Namespace, pod: &str) -> Result<()> {
    let wait = r#"until [ "$(stty size)" = "33 77" ]; do sleep 0.1; done; echo it is so"#;
    let exec = namespace.kubectl_cmd(["exec", "-it", pod, "--", "sh", "-c"]);
    let typed = format!("t=$(tty); stty rows 33 cols 91; (sleep 2; stty -F $t cols 77) & {exec} '{wait}'");
    let shown = Cmd::new("script")
        .args(["-qec", &typed, "/dev/null"])
        .env("KUBECONFIG", namespace.cluster().instance().kubeconfig())
        .deadline(DEADLINE)
        .run_ok()?;
    ensure!(shown.contains("it is so"), "{shown}");
    Ok(())
}

fn attach(namespace: &Namespace, pod: &str) -> Result<()> {
    let attach = Background::start(&namespace.kubectl_cmd(["attach", "-i", pod]))?;
    // The container says something while it is attached to, on the output of its first process.
    wait_for("what an attached container says", DEADLINE, || {
        namespace.kubectl(["exec", pod, "--", "sh", "-c", "echo seen >/proc/1/fd/1"])?;
        Ok(attach.lines().iter().any(|line| line == "seen").then_some(()))
    })
}

fn debug(namespace: &Namespace, pod: &str) -> Result<()> {
    let image = format!("--image={BUSYBOX}");
    let args = [
        "debug",
        "-i",
        "--quiet",
        pod,
        &image,
        "--",
        "sh",
        "-c",
        "cat; sleep 1",
    ];
    // Where the container began before kubectl was attached, kubectl shows its log instead and sends it nothing.
    wait_for("what a debug container is told and says", DEADLINE, || {
        let debug = namespace.kubectl_cmd(args).stdin(b"hello\n".to_vec());
        let said = debug.deadline(DEADLINE).run_ok()?;
        ensure!(said.contains("hello"), "{said:?}");
        Ok(Some(()))
    })
}

/// The port to which `what` is forwarded.
fn forwarded(forward: &Background) -> Result<u16> {
    let port = wait_for("the port that is forwarded", DEADLINE, || {
        let lines = forward.lines();
        let line = lines.first().with_context(|| forward.errors())?;
        Ok(line.split([':', ' ']).nth(3).map(str::to_owned))
    })?;
    Ok(port.parse()?)
}

/// Several connections at a time.
fn forward(namespace: &Namespace, pod: &str, websockets: bool) -> Result<()> {
    let forward = Background::start(&kubectl(namespace, websockets, &["port-forward", pod, ":8080"]))?;
    let url = format!("http://127.0.0.1:{}/", forwarded(&forward)?);
    let urls = vec![url.as_str(); 8];
    let cloud = namespace.cluster().node("cloud1");
    let fetched = cloud.exec_ok(["curl", "-sS", "-m", "30", "--parallel"].iter().chain(&urls))?;
    assert_eq!(fetched.lines().collect::<Vec<_>>(), vec![pod; urls.len()]);
    Ok(())
}

/// Several requests on one connection, to the agent's own health port.
fn keep_alive(site: &Site, node: &str) -> Result<()> {
    let field = format!("--field-selector=spec.nodeName={node}");
    let labels = ["-l", "app.kubernetes.io/component=tunnel-agent", "-o", "name"];
    let agent = site
        .cluster
        .kubectl([&["-n", NAMESPACE, "get", "pods", &field], &labels[..]].concat())?;
    let args = ["-n", NAMESPACE, "port-forward", &agent, ":10266"];
    let forward = Background::start(&site.cluster.kubectl_cmd(args))?;
    let url = format!("http://127.0.0.1:{}/healthz", forwarded(&forward)?);
    let format = [
        "-sS",
        "-m",
        "30",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code} %{num_connects}\n",
    ];
    let cloud = site.cluster.node("cloud1");
    let args = ["curl"].iter().chain(&format).copied().chain([url.as_str(); 3]);
    // The options are for the first address alone: curl repeats `-o` for each.
    let seen = cloud.exec_ok(args.chain(["-o", "/dev/null", "-o", "/dev/null"]))?;
    assert_eq!(seen.lines().collect::<Vec<_>>(), ["200 1", "200 0", "200 0"]);
    Ok(())
}

/// There and back, with equal bytes; the seconds of each way.
fn copy(namespace: &Namespace, pod: &str) -> Result<(f64, f64)> {
    let folder = tempfile::tempdir()?;
    let (file, back) = (folder.path().join("file"), folder.path().join("back"));
    let mut random = fastrand::Rng::new();
    let mut writer = fs::File::create(&file)?;
    let mut block = vec![0; 1 << 20];
    for _ in 0..COPIED >> 20 {
        random.fill(&mut block);
        writer.write_all(&block)?;
    }
    drop(writer);
    let text = |path: &std::path::Path| path.display().to_string();
    let sum = |path: &std::path::Path| Cmd::new("sha256sum").arg(path).run_ok();
    let there = Instant::now();
    let remote = format!("{pod}:/tmp/file");
    namespace
        .kubectl_cmd(["cp", &text(&file), &remote])
        .deadline(DEADLINE)
        .run_ok()?;
    let there = there.elapsed().as_secs_f64();
    let remote_sum = namespace.kubectl(["exec", pod, "--", "sha256sum", "/tmp/file"])?;
    let first = |line: &str| line.split(' ').next().map(str::to_owned);
    let expected = first(&sum(&file)?);
    assert_eq!(first(&remote_sum), expected);
    let returned = Instant::now();
    namespace
        .kubectl_cmd(["cp", &remote, &text(&back)])
        .deadline(DEADLINE)
        .run_ok()?;
    let returned = returned.elapsed().as_secs_f64();
    assert_eq!(first(&sum(&back)?), expected);
    Ok((there, returned))
}
