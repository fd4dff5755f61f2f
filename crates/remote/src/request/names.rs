//! Addresses of names, without the C library: a static binary in an image from scratch has no NSS to ask. Literal addresses and `localhost`
//! need no query, `/etc/hosts` comes before `/etc/resolv.conf`, and what was answered is kept for as long as it says, a minute at most.

mod ask;
mod files;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use thiserror::Error;

/// As long as an answer is kept at most.
const KEPT: Duration = Duration::from_secs(60);

/// Who is asked for names, and what was answered.
#[derive(Debug)]
pub struct Names {
    hosts: Vec<(IpAddr, Vec<String>)>,
    servers: Vec<SocketAddr>,
    search: Vec<String>,
    /// For an answer of one server.
    patience: Duration,
    rounds: u32,
    known: Mutex<BTreeMap<String, (Vec<IpAddr>, Instant)>>,
}

/// Why a name has no address.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
pub enum NameError {
    /// The servers know of no such name.
    #[error("there is no host `{0}`")]
    Unknown(String),
    /// No server answered.
    #[error("no name server answered for `{name}` (asked: {asked})")]
    NoAnswer {
        /// The host.
        name: String,
        /// Who was asked.
        asked: String,
    },
}

impl Names {
    /// As the machine's two files have it; what cannot be read is empty.
    pub fn of_machine() -> Names {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        Names::parse(&read("/etc/hosts"), &read("/etc/resolv.conf"))
    }

    /// The addresses of a host, IPv4 first: most places have no IPv6, and where there is no IPv4 connecting fails at once.
    ///
    /// # Errors
    /// When the name is not known, or nobody answers before the deadline.
    pub fn look_up(&self, host: &str, deadline: Instant) -> Result<Vec<IpAddr>, NameError> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(literal) = host.parse() {
            return Ok(vec![literal]);
        }
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        let of_hosts = self.of_hosts(&name);
        if !of_hosts.is_empty() {
            return Ok(of_hosts);
        }
        if name == "localhost" || name.ends_with(".localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        if let Some(known) = self.known(&name) {
            return Ok(known);
        }
        let mut failure = NameError::Unknown(host.to_owned());
        for candidate in self.candidates(&name) {
            match self.ask(&candidate, deadline) {
                Ok((addresses, ttl)) => {
                    let until = Instant::now() + ttl.min(KEPT);
                    let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                    known.insert(name, (addresses.clone(), until));
                    return Ok(addresses);
                }
                Err(NameError::Unknown(_)) => {}
                Err(other) => failure = other,
            }
        }
        Err(failure)
    }

    fn of_hosts(&self, name: &str) -> Vec<IpAddr> {
        let lines = self
            .hosts
            .iter()
            .filter(|(_, names)| names.iter().any(|known| known == name));
        let mut addresses: Vec<IpAddr> = lines.map(|(address, _)| *address).collect();
        addresses.sort_by_key(IpAddr::is_ipv6);
        addresses
    }

    fn known(&self, name: &str) -> Option<Vec<IpAddr>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (addresses, until) = known.get(name)?;
        (Instant::now() < *until).then(|| addresses.clone())
    }

    /// A name with dots is whole; others may be of the domains that are searched.
    fn candidates(&self, name: &str) -> Vec<String> {
        let mut candidates = vec![name.to_owned()];
        if !name.contains('.') {
            let searched = self.search.iter().map(|domain| format!("{name}.{domain}"));
            candidates.splice(0..0, searched);
        }
        candidates
    }

    /// Of the first server that knows.
    fn ask(&self, name: &str, deadline: Instant) -> Result<(Vec<IpAddr>, Duration), NameError> {
        for _ in 0..self.rounds {
            for server in &self.servers {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                match ask::addresses(*server, name, left.min(self.patience)) {
                    Some(answer) if answer.addresses.is_empty() => return Err(NameError::Unknown(name.to_owned())),
                    Some(answer) => return Ok((answer.addresses, answer.ttl)),
                    None => {}
                }
            }
        }
        let asked: Vec<String> = self.servers.iter().map(SocketAddr::to_string).collect();
        Err(NameError::NoAnswer {
            name: name.to_owned(),
            asked: asked.join(", "),
        })
    }
}

#[cfg(test)]
mod tests;
