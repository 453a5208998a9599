//! A thousand agents that lose both of their servers at once, and come back.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::Signal;
use tokio::time::sleep;
use yurt_testkit::process::Process;

use crate::crowd::{self, Crowd};
use crate::experiment::{Experiment, Reading, at_most};
use crate::samples::{float, megabytes};
use crate::target;
use crate::tunnel::{Place, Stand, free_address};

/// Three times what the end of a server takes.
const END: Duration = Duration::from_secs(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);
/// How long nothing happens before servers end.
const QUIET: Duration = Duration::from_secs(10);
const IDS: [&str; 2] = ["server-a", "server-b"];

pub(crate) const STORM: Experiment = Experiment {
    figures: &[at_most("storm_1000_agents_s", "s", 10.0)],
    measure: |stand| Box::pin(measure(stand)),
};

async fn measure(stand: &Stand) -> Result<Vec<Reading>> {
    let target = target::start().await?;
    let agents = stand.rounds(1000, 100);
    let (folder, servers) = (stand.new_folder("storm")?, stand.new_folder("servers")?);
    let listen = [free_address()?, free_address()?];
    for (id, address) in IDS.iter().zip(listen) {
        std::fs::write(servers.join(id), address.to_string()).context("write the servers")?;
    }
    let mut args = crowd::flags(agents, target.port());
    args.extend(["--servers-dir".to_owned(), servers.display().to_string()]);
    let mut running = start(stand, &folder, listen, &args)?;
    let begun = Instant::now();
    let crowd = Crowd::start(stand, (agents, 2), &servers, target.port())?;
    let made = begun.elapsed();
    crowd.each_holds(2).await?;
    let first = begun.elapsed().saturating_sub(made);
    sleep(QUIET).await;
    for server in &mut running {
        server.signal(Signal::TERM)?;
    }
    for server in &mut running {
        let deadline = Instant::now() + END;
        while server.ended()?.is_none() && Instant::now() < deadline {
            sleep(PAUSE).await;
        }
    }
    crowd.each_holds(0).await?;
    let begun = Instant::now();
    let running = start(stand, &folder, listen, &args)?;
    crowd.each_holds(2).await?;
    let back = begun.elapsed();
    let mut cpu = 0.0;
    let mut rss = 0;
    for server in &running {
        cpu += server.cpu_time()?.as_secs_f64();
        rss = rss.max(server.rss()?);
    }
    Ok(vec![
        Reading::new("storm_1000_agents_s", back.as_secs_f64())
            .with("agents", float(agents as u64))
            .with("first_connections_s", first.as_secs_f64())
            .with("cpu_of_both_servers_s", cpu)
            .with("rss_of_the_larger_server_mb", megabytes(rss)),
    ])
}

fn start(stand: &Stand, folder: &Path, listen: [SocketAddr; 2], args: &[String]) -> Result<Vec<Process>> {
    let place = Place {
        namespace: None,
        args,
    };
    IDS.iter()
        .zip(listen)
        .map(|(id, address)| stand.server(folder, id, address, place))
        .collect()
}
