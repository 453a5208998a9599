//! Resident memory: of both ends when idle, and of a server with many agents and many streams.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::sleep;

use crate::crowd::{self, Crowd};
use crate::experiment::{Experiment, Reading, at_most};
use crate::samples::{float, megabytes};
use crate::target;
use crate::tunnel::{Place, Stand, Tunnel, free_address, reachable, socket};
use crate::way::{Echo, Way};

/// How long nothing happens before memory is looked at.
const SETTLES: Duration = Duration::from_secs(5);

pub(crate) const IDLE: Experiment = Experiment {
    figures: &[
        at_most("agent_rss_mb", "MB", 8.0),
        at_most("server_rss_mb", "MB", 12.0),
    ],
    measure: |stand| Box::pin(idle(stand)),
};

pub(crate) const LARGE: Experiment = Experiment {
    figures: &[
        at_most("server_kb_per_agent", "KB", 60.0),
        at_most("server_kb_per_stream", "KB", 15.0),
    ],
    measure: |stand| Box::pin(large(stand)),
};

async fn idle(stand: &Stand) -> Result<Vec<Reading>> {
    let target = target::start().await?;
    let tunnel = Tunnel::start(stand, target, &[]).await?;
    sleep(SETTLES).await;
    let told = |name, process: &yurt_testkit::process::Process| -> Result<Reading> {
        let anonymous = megabytes(anonymous(process.pid())?);
        Ok(Reading::new(name, megabytes(process.rss()?)).with("of_it_anonymous_mb", anonymous))
    };
    Ok(vec![
        told("agent_rss_mb", &tunnel.agent)?,
        told("server_rss_mb", &tunnel.server)?,
    ])
}

/// What is not backed by a file (`RssAnon`, proc(5)).
fn anonymous(pid: i32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    Ok(kib.context("no RssAnon")? * 1024)
}

async fn large(stand: &Stand) -> Result<Vec<Reading>> {
    let target = target::start().await?;
    let agents = stand.rounds(1000, 100);
    let folder = stand.new_folder("large")?;
    let servers = stand.new_folder("servers")?;
    let listen = free_address()?;
    std::fs::write(servers.join("server-a"), listen.to_string()).context("write the servers")?;
    let args = crowd::flags(agents, target.port());
    let server = stand.server(
        &folder,
        "server-a",
        listen,
        Place {
            namespace: None,
            args: &args,
        },
    )?;
    sleep(SETTLES).await;
    let empty = server.rss()?;
    let crowd = Crowd::start(stand, (agents, 1), &servers, target.port())?;
    crowd.each_holds(1).await?;
    sleep(SETTLES).await;
    let connected = server.rss()?;
    let way = |number: usize| {
        let authority = format!("{}:{}", crowd::address(number % agents), target.port());
        Way::Connect(socket(&folder, "server-a"), authority)
    };
    reachable(&way(0)).await.context("reach an agent")?;
    let mut streams = Vec::new();
    for number in 0..agents * 2 {
        let mut echo = Echo::open(&way(number)).await?;
        echo.once().await?;
        streams.push(echo);
    }
    sleep(SETTLES).await;
    let full = server.rss()?;
    let (count, kb) = (float(agents as u64), 1e3);
    let each = |more: u64, less: u64, of: f64| (float(more) - float(less)) / kb / of;
    drop((streams, crowd));
    Ok(vec![
        Reading::new("server_kb_per_agent", each(connected, empty, count))
            .with("agents", count)
            .with("rss_without_agents_mb", megabytes(empty))
            .with("rss_with_agents_mb", megabytes(connected)),
        Reading::new("server_kb_per_stream", each(full, connected, count * 2.0))
            .with("streams", count * 2.0)
            .with("rss_with_streams_mb", megabytes(full)),
    ])
}
