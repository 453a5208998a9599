//! `cargo xtask cluster link`: a bad link for a node, from what was typed.
//!
//! Decides which direction gets which quality; the crate `e2e` does it.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args as ClapArgs, ValueEnum};
use e2e::Node;
use e2e::link_emulator::quality::{rate, share, time};
use e2e::link_emulator::{Burst, Counters, Flap, Quality, QueueLimit, Report, Shape};

#[derive(ClapArgs)]
pub(crate) struct Args {
    pub(crate) node: String,
    /// Chance of each packet to be lost, as 5%
    #[arg(long, value_parser = share)]
    loss: Option<f64>,
    /// Losses in a row, as 1%/8: the chance that a packet begins one, and how many are lost then on average
    #[arg(long)]
    burst: Option<Burst>,
    /// Time that each packet takes in each direction, as 300ms
    #[arg(long, value_parser = time)]
    delay: Option<Duration>,
    /// How much more or less it takes, as 50ms
    #[arg(long, value_parser = time)]
    jitter: Option<Duration>,
    /// Bandwidth of each direction, as 50kbit
    #[arg(long, value_parser = rate)]
    rate: Option<u64>,
    /// What may wait for bandwidth, as 64kB or 500ms [default: 1s, and at least 16kB]
    #[arg(long)]
    queue: Option<QueueLimit>,
    /// Outages on a schedule, as 3s/2s: up, down
    #[arg(long)]
    flap: Option<Flap>,
    /// Everything is lost
    #[arg(long)]
    blackhole: bool,
    /// Change one direction only, as the node sees it; the other one stays as it is
    #[arg(long)]
    only: Option<Direction>,
    /// Make the link perfect again
    #[arg(long)]
    clear: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Direction {
    Up,
    Down,
}

/// Does what was asked for; returns what to print.
pub(crate) fn run(args: &Args, node: &Node) -> Result<String> {
    let quality = args.quality();
    let report = match (args.clear, quality == Quality::default()) {
        (true, true) => node.clear_link()?,
        (true, false) => bail!("--clear makes the link perfect: it takes no other option"),
        (false, true) if args.only.is_none() => node.link_report()?,
        (false, _) => {
            let before = node.link_report()?.unwrap_or_default().shape;
            let shape = match args.only {
                None => Shape::both(quality),
                Some(Direction::Up) => Shape {
                    up: quality,
                    ..before
                },
                Some(Direction::Down) => Shape {
                    down: quality,
                    ..before
                },
            };
            Some(node.set_link(&shape)?)
        }
    };
    Ok(report.map_or_else(|| "perfect".to_owned(), |report| describe(&report)))
}

impl Args {
    fn quality(&self) -> Quality {
        Quality {
            loss: self.loss.unwrap_or_default(),
            burst: self.burst,
            delay: self.delay.unwrap_or_default(),
            jitter: self.jitter.unwrap_or_default(),
            rate: self.rate,
            queue: self.queue,
            flap: self.flap,
            blackhole: self.blackhole,
        }
    }
}

fn describe(report: &Report) -> String {
    let line = |way: &str, quality: &Quality, seen: Counters| {
        format!(
            "{way:<5} {quality}\n      {} packets ({} bytes) passed; lost {} by chance, {} in bursts, {} for want of room, {} while down",
            seen.passed, seen.passed_bytes, seen.lost_chance, seen.lost_burst, seen.lost_full, seen.lost_down
        )
    };
    format!(
        "{}\n{}\n{} packets are on their way",
        line("up", &report.shape.up, report.up),
        line("down", &report.shape.down, report.down),
        report.on_their_way
    )
}
