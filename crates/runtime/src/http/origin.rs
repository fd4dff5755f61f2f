//! Which requests come from this machine's programs, and which from a web page that somebody's browser shows. A page may
//! send requests to loopback addresses; its browser then tells where it comes from. A page whose own name was made to
//! point here (DNS rebinding) is told by that name in `Host`.

use std::net::{IpAddr, SocketAddr};

use hyper::HeaderMap;
use hyper::header::{HOST, HeaderName, ORIGIN};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;

use super::Refusal;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Which names a listener answers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// Any: callers prove who they are.
    Any,
    /// `localhost`, 127.0.0.0/8, `[::1]`, the address that was listened on, and these names; with any port.
    Local(Vec<String>),
}

impl Hosts {
    /// This machine's own names and addresses alone.
    pub fn local() -> Hosts {
        Hosts::Local(Vec::new())
    }

    /// Names by which containers know the machine that they run on (Docker's and Podman's).
    pub fn for_containers() -> Hosts {
        Hosts::Local(vec![
            "host.docker.internal".to_owned(),
            "host.containers.internal".to_owned(),
        ])
    }

    fn admit(&self, host: &str, local: SocketAddr) -> bool {
        let Hosts::Local(names) = self else {
            return true;
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match bare.unwrap_or(host).parse::<IpAddr>() {
            Ok(address) => {
                let address = address.to_canonical();
                address.is_loopback() || address == local.ip().to_canonical()
            }
            Err(_) => {
                // A name may be written with the root's dot.
                let host = host.strip_suffix('.').unwrap_or(host);
                let is = |name: &str| name.eq_ignore_ascii_case(host);
                is("localhost") || names.iter().any(|name| is(name))
            }
        }
    }
}

/// The host and port that the caller spoke to: from the request's line where a proxy's form names one, else from `Host`.
pub(crate) fn authority(head: &Parts) -> Option<Authority> {
    if let Some(authority) = head.uri.authority() {
        return Some(authority.clone());
    }
    let mut hosts = head.headers.get_all(HOST).iter();
    let (host, None) = (hosts.next()?, hosts.next()) else {
        return None;
    };
    Authority::try_from(host.as_bytes()).ok()
}

/// Lets in or refuses, by what the headers say.
pub(super) fn examine(head: &Parts, local: SocketAddr, hosts: &Hosts) -> Result<(), Refusal> {
    let authority = authority(head);
    let is_named = head.uri.authority().is_some() || head.headers.contains_key(HOST);
    match &authority {
        Some(authority) if hosts.admit(authority.host(), local) => {}
        // HTTP/1.0 needs no host, and no browser speaks it.
        None if !is_named => {}
        _ => return Err(Refusal::ForeignHost),
    }
    if is_foreign_page(&head.headers, authority.as_ref()) {
        return Err(Refusal::ForeignPage);
    }
    Ok(())
}

fn is_foreign_page(headers: &HeaderMap, authority: Option<&Authority>) -> bool {
    let own = authority.map(|authority| format!("http://{authority}"));
    let is_own = |origin: &[u8]| {
        own.as_ref()
            .is_some_and(|own| own.as_bytes().eq_ignore_ascii_case(origin))
    };
    let foreign_origin = headers.get_all(ORIGIN).iter().any(|origin| !is_own(origin.as_bytes()));
    // `none` is a person who typed the address. A page from another port of this machine is `same-site`.
    let foreign_fetch = headers
        .get_all(FETCH_SITE)
        .iter()
        .any(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"));
    foreign_origin || foreign_fetch
}
