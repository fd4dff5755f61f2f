//! Foreign hosts and web pages.

use super::House;
use crate::http::{Hosts, Limits};

#[track_caller]
fn check(house: &House, headers: &[(&str, &str)], status: u16) {
    let reply = house.client().request("GET /", headers, "");
    assert_eq!(reply.status, status, "{headers:?}: {}", reply.body);
}

#[test]
fn only_own_names_are_answered_to() {
    let house = House::open(Limits::default());
    for own in [
        "localhost",
        "LocalHost:1",
        "localhost.",
        "127.0.0.1:9324",
        "127.200.3.4",
        "[::1]:80",
        "[::ffff:127.0.0.1]",
    ] {
        check(&house, &[("Host", own)], 200);
    }
    for foreign in [
        "",
        "example.com",
        "localhost.example.com",
        "127.0.0.1.example.com",
        "example.com:9324",
        "10.0.0.1",
        "0.0.0.0",
        "[::2]",
        "host.docker.internal",
        "a b",
        "localhost, localhost",
    ] {
        check(&house, &[("Host", foreign)], 403);
    }
    check(&house, &[("Host", "localhost"), ("host", "localhost")], 403);
    // The request's line counts where it names a host.
    let reply = house
        .client()
        .request("GET http://example.com/", &[("Host", "localhost")], "");
    assert_eq!(reply.status, 403);
}

#[test]
fn containers_have_a_name_for_this_machine() {
    let house = House::with(Limits::default(), Hosts::for_containers());
    check(&house, &[("Host", "host.docker.internal:9324")], 200);
    check(&house, &[("Host", "host.containers.internal")], 200);
    check(&house, &[("Host", "example.com")], 403);
}

#[test]
fn any_name_will_do_where_callers_sign() {
    let house = House::with(Limits::default(), Hosts::Any);
    check(&house, &[("Host", "queues.example.com")], 200);
    check(
        &house,
        &[("Host", "queues.example.com"), ("Origin", "http://example.com")],
        403,
    );
}

#[test]
fn web_pages_of_others_are_refused() {
    let house = House::open(Limits::default());
    let own = format!("http://{}", house.address);
    check(&house, &[("Origin", &own)], 200);
    check(&house, &[("Sec-Fetch-Site", "same-origin")], 200);
    check(&house, &[("Sec-Fetch-Site", "none")], 200);
    for foreign in [
        "https://example.com",
        "null",
        "http://localhost:3000",
        "http://127.0.0.1",
    ] {
        check(&house, &[("Origin", foreign)], 403);
    }
    for foreign in ["cross-site", "same-site"] {
        check(&house, &[("Sec-Fetch-Site", foreign)], 403);
    }
    let https = format!("https://{}", house.address);
    check(&house, &[("Origin", &https)], 403);
}
