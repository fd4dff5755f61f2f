//! The queues: messages a second through send, receive and delete with boto3 and the Rust SDK, beside peers and beside a server that
//! has nothing to do; the same with a backlog; how soon a waiting receive has what was sent; what `up` costs when nothing happens, and
//! whether many clients at once lose anything. `server.rs` starts who answers, `tools.rs` who asks, `page.rs` tells.

mod page;
mod server;
mod tools;

use std::path::Path;
use std::time::Duration;

use super::binary::{self, Kingtide};
use super::floors;
use super::machine;
use super::options::Options;
use super::timing::Summary;
use page::Findings;
use server::Server;
use tools::{Client, Load, Tools};

/// Clients at once, and messages a call.
const LOADS: [(usize, usize); 4] = [(1, 1), (8, 1), (1, 10), (8, 10)];
const POLL_ROUNDS: usize = 500;
/// Nothing may happen for so long.
const IDLE: Duration = Duration::from_secs(10);
/// What starting has set off (caches, a checkpoint) is over by then.
const SETTLING: Duration = Duration::from_secs(3);
const SOAK_CLIENTS: usize = 64;

/// Whom the clients ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Null,
    Kingtide,
    Backlog,
    Moto,
    Ministack,
}

impl Who {
    const ALL: [Who; 5] = [Who::Null, Who::Kingtide, Who::Backlog, Who::Moto, Who::Ministack];
}

/// What was measured of one client under one load: the rates by round.
struct Cell {
    who: Who,
    client: Client,
    clients: usize,
    batch: usize,
    rates: Vec<f64>,
}

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let scratch = binary::scratch()?;
    let load_before = machine::load();
    let kingtide = Kingtide::find(options)?;
    let tools = Tools::prepare(&scratch)?;
    let floors = floors::measure(&scratch)?;
    let folder = scratch.join("queue");

    let (idle_mib, wakeups) = idle(&kingtide.path, &folder.join("idle"))?;
    eprintln!("idle: {idle_mib:.1} MiB, {wakeups} wake-ups in {} s", IDLE.as_secs());
    let fresh = Server::kingtide(&kingtide.path, &folder.join("fresh"))?;
    let poll = tools.poll(&fresh.url, POLL_ROUNDS)?;
    eprintln!("a waiting receive: {:.2} ms, 99th percentile {:.2} ms", poll.0, poll.1);
    let full = Server::kingtide(&kingtide.path, &folder.join("full"))?;
    tools.fill(&full.url, options.backlog)?;
    eprintln!("a backlog of {} messages stands", options.backlog);
    let null = [Server::null(&tools, 1)?, Server::null(&tools, 10)?];
    let mut missing = Vec::new();
    let mut peer = |name: &str, started: anyhow::Result<Server>| match (started, tools.peers_missing()) {
        (Ok(server), _) => Some(server),
        (Err(_), Some(reason)) => {
            missing.push((name.to_owned(), reason.to_owned()));
            None
        }
        (Err(error), None) => {
            missing.push((name.to_owned(), format!("{error:#}")));
            None
        }
    };
    let moto = peer("moto", Server::moto(&tools, &folder.join("moto")));
    let ministack = peer("ministack", Server::ministack(&tools, &folder.join("ministack")));
    let address = |who: Who, batch: usize| match who {
        Who::Null => Some(null[usize::from(batch > 1)].url.as_str()),
        Who::Kingtide => Some(fresh.url.as_str()),
        Who::Backlog => Some(full.url.as_str()),
        Who::Moto => moto.as_ref().map(|server| server.url.as_str()),
        Who::Ministack => ministack.as_ref().map(|server| server.url.as_str()),
    };
    let cells = measure(options, &tools, address)?;

    let mut held = Vec::new();
    let soak = Load {
        clients: SOAK_CLIENTS,
        batch: 10,
        seconds: options.soak,
    };
    let counts = tools.soak(&fresh.url, soak, || {
        held.extend(server::resident_mib(fresh.pid()));
    })?;
    let findings = Findings {
        options,
        kingtide: &kingtide,
        tools: &tools,
        missing,
        cells,
        poll,
        idle_mib,
        wakeups,
        counts,
        held,
    };
    findings.report(&load_before).finish(&scratch, &floors, &load_before)
}

/// All rounds. Every second one goes backwards, so that nobody is always first.
fn measure<'a>(
    options: &Options,
    tools: &Tools,
    address: impl Fn(Who, usize) -> Option<&'a str>,
) -> anyhow::Result<Vec<Cell>> {
    let mut cells: Vec<Cell> = Vec::new();
    for client in Client::ALL {
        for (clients, batch) in LOADS {
            cells.extend(
                Who::ALL
                    .into_iter()
                    .filter(|who| address(*who, batch).is_some())
                    .map(|who| Cell {
                        who,
                        client,
                        clients,
                        batch,
                        rates: Vec::new(),
                    }),
            );
        }
    }
    for round in 0..options.rounds {
        let mut order: Vec<&mut Cell> = cells.iter_mut().collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for cell in order {
            let load = Load {
                clients: cell.clients,
                batch: cell.batch,
                seconds: options.seconds,
            };
            let Some(url) = address(cell.who, cell.batch) else {
                continue;
            };
            let rate = tools.rate(cell.client, url, load)?;
            eprintln!(
                "round {}: {:?}, {}, {} clients, {} a call: {rate:.0}/s (load {})",
                round + 1,
                cell.who,
                cell.client.title(),
                cell.clients,
                cell.batch,
                machine::load()
            );
            cell.rates.push(rate);
        }
    }
    Ok(cells)
}

/// What an `up` holds that has nothing to do, in MiB, and how often its threads woke meanwhile.
fn idle(binary: &Path, folder: &Path) -> anyhow::Result<(f64, u64)> {
    let server = Server::kingtide(binary, folder)?;
    // Nothing tells when it has settled, and the idle time is what is measured.
    std::thread::sleep(SETTLING);
    let before = server::switches(server.pid())?;
    // See above.
    std::thread::sleep(IDLE);
    let after = server::switches(server.pid())?;
    Ok((server::resident_mib(server.pid())?, after - before))
}

impl Cell {
    fn median(&self) -> Option<f64> {
        Summary::of(&self.rates).map(|summary| summary.median)
    }
}
