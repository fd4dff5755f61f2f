//! TLS: whom a request trusts. The key beside this is of tests only, and worth nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use kingtide_remote::request::transport::{Body, Call, Surroundings, Transport};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name)
}

/// A service with a certificate for `localhost`, of an authority that nobody knows; its URL.
fn service() -> String {
    let certificate = CertificateDer::from_pem_file(file("certificate.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(file("key.pem")).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("they fit");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(config.clone()).expect("a connection");
            let mut stream = StreamOwned::new(connection, stream);
            let mut buffer = [0; 4096];
            if stream.read(&mut buffer).is_ok() {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
            }
        }
    });
    format!("https://localhost:{port}/")
}

fn ask(transport: &Transport, url: &str) -> Result<Vec<u8>, String> {
    let call = Call {
        method: "GET",
        url,
        headers: &[],
        body: Body::Bytes(&[]),
        patience: Duration::from_secs(10),
    };
    let answer = transport.send(&call).map_err(|error| error.to_string())?;
    answer.read(100).map_err(|error| error.to_string())
}

#[test]
fn only_authorities_that_are_known_vouch_for_a_service() {
    let url = service();
    let refused = ask(&Transport::new(Surroundings::Container), &url).expect_err("nobody knows it");
    assert!(refused.contains("UnknownIssuer"), "{refused}");
    let trusting = Transport::trusting(Surroundings::Container, &file("authority.pem")).expect("a bundle");
    assert_eq!(ask(&trusting, &url).as_deref(), Ok(&b"hi"[..]));
    // The name counts as well.
    let other = ask(&trusting, &url.replace("localhost", "127.0.0.1")).expect_err("another name");
    assert!(other.contains("not valid for name"), "{other}");
}

#[test]
fn a_bundle_without_certificates_is_refused_in_words() {
    let wrong = Transport::trusting(Surroundings::Machine, &file("main.rs")).expect_err("no certificates");
    assert!(
        wrong.to_string().ends_with("cannot be used: it has no certificate"),
        "{wrong}"
    );
}
