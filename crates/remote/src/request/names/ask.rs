//! Asking one name server: both kinds of address at once, by UDP; what does not fit into a packet again over TCP.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, RCODE, TYPE};

/// What a server that answers says; no address where it knows of none.
pub(super) struct Answer {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) ttl: Duration,
}

/// Larger than what anybody sends who was not asked to.
const MOST: usize = 4096;

/// `None` where the server did not answer in time, or not to the question.
pub(super) fn addresses(server: SocketAddr, name: &str, patience: Duration) -> Option<Answer> {
    let deadline = Instant::now() + patience;
    let id = fastrand::u16(..);
    let kinds = [(id, TYPE::A), (id.wrapping_add(1), TYPE::AAAA)];
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(server).ok()?;
    for (id, kind) in kinds {
        socket.send(&question(id, name, kind)?).ok()?;
    }
    let mut said: [Option<Vec<(IpAddr, u32)>>; 2] = [None, None];
    let mut buffer = vec![0; MOST];
    while said.iter().any(Option::is_none) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        socket.set_read_timeout(Some(left)).ok()?;
        let Ok(length) = socket.recv(&mut buffer) else {
            break;
        };
        for (slot, (id, kind)) in said.iter_mut().zip(kinds) {
            match read(&buffer[..length], id, name) {
                Reading::Said(found) => *slot = Some(found),
                Reading::Truncated => *slot = over_tcp(server, id, name, kind, deadline),
                Reading::NotKnowing => return None,
                Reading::Foreign => {}
            }
        }
    }
    // A server that swallows one of the two questions has still answered the other.
    let has_answered = said.iter().flatten().any(|found| !found.is_empty()) || said.iter().all(Option::is_some);
    let found: Vec<(IpAddr, u32)> = said.into_iter().flatten().flatten().collect();
    let ttl = found.iter().map(|(_, ttl)| *ttl).min().unwrap_or_default();
    has_answered.then(|| Answer {
        addresses: found.into_iter().map(|(address, _)| address).collect(),
        ttl: Duration::from_secs(u64::from(ttl)),
    })
}

fn question(id: u16, name: &str, kind: TYPE) -> Option<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).ok()?;
    packet
        .questions
        .push(Question::new(name, kind.into(), CLASS::IN.into(), false));
    packet.build_bytes_vec().ok()
}

/// What a packet says.
enum Reading {
    Said(Vec<(IpAddr, u32)>),
    Truncated,
    /// The server cannot say: another may.
    NotKnowing,
    /// Not the answer to this question.
    Foreign,
}

fn read(bytes: &[u8], id: u16, name: &str) -> Reading {
    let Ok(packet) = Packet::parse(bytes) else {
        return Reading::Foreign;
    };
    let asked = packet.questions.first().map(|question| question.qname.to_string());
    let is_ours = asked.is_some_and(|asked| asked.eq_ignore_ascii_case(name));
    if packet.id() != id || !packet.has_flags(PacketFlag::RESPONSE) || !is_ours {
        return Reading::Foreign;
    }
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Reading::Truncated;
    }
    match packet.rcode() {
        RCODE::NoError | RCODE::NameError => {}
        _ => return Reading::NotKnowing,
    }
    let found = packet.answers.iter().filter_map(|record| {
        let address: IpAddr = match &record.rdata {
            RData::A(a) => Ipv4Addr::from(a.address).into(),
            RData::AAAA(aaaa) => Ipv6Addr::from(aaaa.address).into(),
            _ => return None,
        };
        Some((address, record.ttl))
    });
    Reading::Said(found.collect())
}

fn over_tcp(server: SocketAddr, id: u16, name: &str, kind: TYPE, deadline: Instant) -> Option<Vec<(IpAddr, u32)>> {
    let left = || {
        let left = deadline.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    };
    let mut stream = TcpStream::connect_timeout(&server, left()?).ok()?;
    stream.set_write_timeout(left()).ok()?;
    stream.set_read_timeout(left()).ok()?;
    let question = question(id, name, kind)?;
    let mut message = u16::try_from(question.len()).ok()?.to_be_bytes().to_vec();
    message.extend(question);
    stream.write_all(&message).ok()?;
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).ok()?;
    match read(&answer, id, name) {
        Reading::Said(found) => Some(found),
        _ => None,
    }
}
