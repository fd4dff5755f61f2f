//! Against name servers of the test's own.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::thread;

use simple_dns::rdata::{A, AAAA, CNAME, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};

use super::*;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

/// What the server of the tests says to a question.
fn reply(question: &[u8], over_tcp: bool) -> Vec<u8> {
    let asked = Packet::parse(question).expect("a question");
    let name = asked.questions[0].qname.to_string();
    let is_v6 = asked.questions[0].qtype == QTYPE::TYPE(TYPE::AAAA);
    let mut packet = asked.into_reply();
    let record = |name: &str, data| {
        let name = Name::new(name).expect("a name").into_owned();
        ResourceRecord::new(name, CLASS::IN, 30, data)
    };
    let v4 = |last| {
        RData::A(A {
            address: u32::from(Ipv4Addr::new(192, 0, 2, last)),
        })
    };
    match name.as_str() {
        "sqs.eu-west-1.amazonaws.com" if is_v6 => {
            let address = u128::from("2001:db8::1".parse::<Ipv6Addr>().expect("an address"));
            packet.answers.push(record(&name, RData::AAAA(AAAA { address })));
        }
        "sqs.eu-west-1.amazonaws.com" => {
            let other = Name::new("real.amazonaws.com").expect("a name").into_owned();
            packet.answers.push(record(&name, RData::CNAME(CNAME(other))));
            packet.answers.push(record("real.amazonaws.com", v4(1)));
        }
        "minio.cluster.local" if !is_v6 => packet.answers.push(record(&name, v4(2))),
        "large.example.com" if !is_v6 && !over_tcp => packet.set_flags(PacketFlag::TRUNCATION),
        "large.example.com" if !is_v6 => {
            (1..=40).for_each(|last| packet.answers.push(record("large.example.com", v4(last))))
        }
        "broken.example.com" => *packet.rcode_mut() = RCODE::ServerFailure,
        _ if is_v6 => {}
        _ => *packet.rcode_mut() = RCODE::NameError,
    }
    packet.build_bytes_vec().expect("an answer")
}

/// The address of a server, UDP and TCP on the same port.
fn server() -> SocketAddr {
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = tcp.local_addr().expect("an address");
    let udp = UdpSocket::bind(address).expect("the same port for UDP");
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = udp.recv_from(&mut buffer) {
            let _ = udp.send_to(&reply(&buffer[..length], false), from);
        }
    });
    thread::spawn(move || {
        while let Ok((mut stream, _)) = tcp.accept() {
            let mut length = [0; 2];
            stream.read_exact(&mut length).expect("a length");
            let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut question).expect("a question");
            let answer = reply(&question, true);
            let length = u16::try_from(answer.len()).expect("short").to_be_bytes();
            stream.write_all(&[&length[..], &answer].concat()).expect("heard");
        }
    });
    address
}

fn names(of: SocketAddr) -> Names {
    let resolv =
        format!("# who is asked\nnameserver {of}\nsearch cluster.local.\noptions timeout:2 attempts:1 ndots:5\n");
    Names::parse("192.0.2.9 Here.example.com here # a comment\n::1 localhost6\n", &resolv)
}

fn found(names: &Names, host: &str) -> String {
    match names.look_up(host, soon()) {
        Ok(addresses) => addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" "),
        Err(error) => error.to_string(),
    }
}

#[test]
fn names_have_the_addresses_that_files_and_servers_say() {
    let names = names(server());
    assert_eq!(found(&names, "sqs.eu-west-1.amazonaws.com"), "192.0.2.1 2001:db8::1");
    assert_eq!(found(&names, "minio"), "192.0.2.2", "a domain that is searched");
    assert_eq!(found(&names, "here.example.com"), "192.0.2.9", "of the hosts");
    assert_eq!(found(&names, "large.example.com").split(' ').count(), 40, "over TCP");
    assert_eq!(
        found(&names, "nobody.example.com"),
        "there is no host `nobody.example.com`"
    );
    assert!(found(&names, "broken.example.com").starts_with("no name server answered for `broken.example.com`"));
}

#[test]
fn literals_and_localhost_ask_nobody_and_answers_are_kept() {
    let gone = names(
        UdpSocket::bind("127.0.0.1:0")
            .and_then(|udp| udp.local_addr())
            .expect("an address"),
    );
    assert_eq!(found(&gone, "169.254.170.2"), "169.254.170.2");
    assert_eq!(found(&gone, "[::1]"), "::1");
    assert_eq!(found(&gone, "localhost"), "127.0.0.1 ::1");
    assert_eq!(found(&gone, "bucket.localhost"), "127.0.0.1 ::1");
    assert!(found(&gone, "a.example.com").contains("asked: 127.0.0.1:"));

    let mut names = names(server());
    assert_eq!(found(&names, "sqs.eu-west-1.amazonaws.com"), "192.0.2.1 2001:db8::1");
    names.servers = gone.servers;
    assert_eq!(found(&names, "sqs.eu-west-1.amazonaws.com"), "192.0.2.1 2001:db8::1");
}
