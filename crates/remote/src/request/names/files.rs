//! `/etc/hosts` and `/etc/resolv.conf` as far as they matter here: who has which address, who is asked, for how long, and which domains are
//! searched.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::time::Duration;

use super::Names;

const PORT: u16 = 53;
/// What `resolv.conf(5)` says where the file says nothing.
const PATIENCE_S: u64 = 5;
const ROUNDS: u32 = 2;
/// What it caps them at.
const MOST_PATIENCE_S: u64 = 30;
const MOST_ROUNDS: u32 = 5;
/// More are not looked at, as there.
const MOST_SERVERS: usize = 3;

impl Names {
    /// The texts of the two files.
    pub fn parse(hosts: &str, resolv: &str) -> Names {
        let mut names = Names {
            hosts: words(hosts).filter_map(host).collect(),
            servers: Vec::new(),
            search: Vec::new(),
            patience: Duration::from_secs(PATIENCE_S),
            rounds: ROUNDS,
            known: Mutex::default(),
        };
        for line in words(resolv) {
            match line.as_slice() {
                ["nameserver", address, ..] => names.servers.extend(server(address)),
                ["search" | "domain", domains @ ..] => {
                    names.search = domains.iter().map(|text| trimmed(text)).collect()
                }
                ["options", options @ ..] => options.iter().for_each(|option| names.option(option)),
                _ => {}
            }
        }
        names.servers.truncate(MOST_SERVERS);
        if names.servers.is_empty() {
            names.servers.push((Ipv4Addr::LOCALHOST, PORT).into());
        }
        names
    }

    fn option(&mut self, option: &str) {
        let Some((name, number)) = option.split_once(':') else {
            return;
        };
        match (name, number.parse::<u32>()) {
            ("timeout", Ok(seconds)) => {
                self.patience = Duration::from_secs(u64::from(seconds).clamp(1, MOST_PATIENCE_S));
            }
            ("attempts", Ok(rounds)) => self.rounds = rounds.clamp(1, MOST_ROUNDS),
            _ => {}
        }
    }
}

/// The words of each line that has any, without comments.
fn words(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = text
        .lines()
        .map(|line| line.split(['#', ';']).next().unwrap_or_default());
    lines
        .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>())
        .filter(|words| !words.is_empty())
}

fn host(words: Vec<&str>) -> Option<(IpAddr, Vec<String>)> {
    let (address, names) = words.split_first()?;
    let names = names.iter().map(|name| trimmed(name)).collect();
    Some((address.parse().ok()?, names))
}

/// An address; a port after it, as no `resolv.conf` has it, is for tests.
fn server(text: &str) -> Option<SocketAddr> {
    let whole = text.parse().ok();
    whole.or_else(|| Some((text.parse::<IpAddr>().ok()?, PORT).into()))
}

fn trimmed(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}
