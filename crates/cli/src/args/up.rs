//! What can be typed about `up`, and what is meant by it: which addresses are listened on, and who is answered there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::Args;
use kingtide_runtime::Doors;
use kingtide_runtime::endpoints::{SQS_PORT, WEB_PORT};

use crate::exit::{Failure, Outcome};

/// The secret of `--access-key`.
pub(crate) const SECRET_VARIABLE: &str = "KINGTIDE_SECRET_ACCESS_KEY";
/// A secret that others can reach should not be guessed.
const LEAST_SECRET: usize = 16;

/// Keep the project alive: work off every unfinished run and whatever is sent, until Ctrl-C or TERM
#[derive(Debug, Args)]
#[command(after_help = "\
The queues speak the Amazon SQS API: `kingtide env` prints what points any AWS SDK at them, and any credentials will do on
this machine. On an address that others reach, too, `--access-key ID` is demanded, with its secret in
KINGTIDE_SECRET_ACCESS_KEY: requests must be signed with it, and pages ask for both as user name and password.

The first Ctrl-C or TERM starts nothing new and lets what runs end; the second ends it and puts the messages back.")]
pub(crate) struct Up {
    /// Where the queues listen; port 0 takes any, and the line on stdout says which
    #[arg(long, value_name = "ADDR", default_value_t = at_home(SQS_PORT), value_parser = parse_address)]
    pub(crate) sqs: SocketAddr,
    /// Where `/api/v1/`, `/metrics` and `/healthz` are served, to be read only
    #[arg(long, value_name = "ADDR", default_value_t = at_home(WEB_PORT), value_parser = parse_address)]
    pub(crate) web: SocketAddr,
    /// Serve none of these
    #[arg(long, conflicts_with = "web")]
    pub(crate) no_web: bool,
    /// Demand requests signed with this access key; its secret is in KINGTIDE_SECRET_ACCESS_KEY
    #[arg(long, value_name = "ID", value_parser = parse_access_key)]
    pub(crate) access_key: Option<String>,
}

impl Up {
    /// What is meant, with the secret of the environment.
    pub(crate) fn doors(&self) -> Outcome<Doors> {
        let secret = std::env::var_os(SECRET_VARIABLE).filter(|secret| !secret.is_empty());
        let secret = match secret.map(std::ffi::OsString::into_string) {
            None => None,
            Some(Ok(secret)) => Some(secret),
            Some(Err(_)) => return Err(Failure::usage(format!("`{SECRET_VARIABLE}` is not UTF-8"))),
        };
        self.resolve(secret)
    }

    fn resolve(&self, secret: Option<String>) -> Outcome<Doors> {
        let web = (!self.no_web).then_some(self.web);
        if web.is_some_and(|web| web == self.sqs && web.port() != 0) {
            return Err(Failure::usage(format!("`--sqs` and `--web` are both {}", self.sqs))
                .help("give each a port of its own; port 0 is any that is free"));
        }
        let open = [("--sqs", Some(self.sqs)), ("--web", web)];
        let open = open.into_iter().find_map(|(flag, address)| {
            let address = address.filter(|address| !is_of_this_machine(address.ip()))?;
            Some((flag, address))
        });
        let access_key = match (&self.access_key, secret) {
            (None, _) if let Some((flag, address)) = open => {
                return Err(Failure::usage(format!(
                    "other machines reach `{flag} {address}`, and no access key is demanded"
                ))
                .help(format!("give `--access-key ID`, with its secret in {SECRET_VARIABLE}")));
            }
            (None, _) => None,
            (Some(id), None) => {
                return Err(Failure::usage(format!("the access key `{id}` has no secret"))
                    .help(format!("set {SECRET_VARIABLE}, to what callers sign with")));
            }
            (Some(_), Some(secret)) if secret.len() < LEAST_SECRET => {
                return Err(
                    Failure::usage(format!("the secret in {SECRET_VARIABLE} is too short to be safe")).help(format!(
                        "take {LEAST_SECRET} characters or more, such as of `openssl rand -hex 20`"
                    )),
                );
            }
            (Some(id), Some(secret)) => Some((id.clone(), secret)),
        };
        Ok(Doors {
            sqs: self.sqs,
            web,
            access_key,
        })
    }
}

fn at_home(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

fn is_of_this_machine(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(match text.parse::<u16>() {
            Ok(port) => format!("an address has a host too, for instance `127.0.0.1:{port}`"),
            Err(_) => "an address is a host and a port, for instance `127.0.0.1:9324`".to_owned(),
        });
    };
    match (host, port.parse()) {
        (_, Err(_)) => Err(format!("`{port}` is no port: 0 to 65535")),
        ("localhost", Ok(port)) => Ok(at_home(port)),
        (_, Ok(port)) => Err(format!(
            "`{host}` is no address of a machine, for instance `127.0.0.1:{port}` or `[::1]:{port}`"
        )),
    }
}

/// As long as AWS has them at most; ids of our own consumers are not for people.
fn parse_access_key(text: &str) -> Result<String, String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !(3..=128).contains(&text.len()) || !text.bytes().all(is_allowed) {
        return Err("an access key id is 3 to 128 letters, digits and underscores".to_owned());
    }
    if text.starts_with("KTINSTANCE") {
        return Err("ids that begin with KTINSTANCE are those of consumers".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up(sqs: &str, web: Option<&str>, access_key: Option<&str>) -> Up {
        Up {
            sqs: parse_address(sqs).expect("an address"),
            web: parse_address(web.unwrap_or("127.0.0.1:0")).expect("an address"),
            no_web: web.is_none(),
            access_key: access_key.map(str::to_owned),
        }
    }

    fn secret() -> Option<String> {
        Some("0123456789abcdef".to_owned())
    }

    #[test]
    fn this_machine_alone_needs_no_key() {
        let doors = up("localhost:0", Some("[::1]:0"), None).resolve(None).expect("sound");
        assert_eq!(doors.access_key, None);
        assert_eq!(doors.sqs.to_string(), "127.0.0.1:0");
        // The secret of another time is no demand.
        assert!(
            up("127.0.0.2:1", None, None)
                .resolve(secret())
                .is_ok_and(|doors| doors.access_key.is_none())
        );
    }

    #[test]
    fn any_other_address_demands_one_with_a_secret() {
        for (sqs, web) in [
            ("0.0.0.0:9324", None),
            ("127.0.0.1:9324", Some("192.0.2.7:80")),
            ("[::]:1", None),
        ] {
            assert!(up(sqs, web, None).resolve(secret()).is_err(), "{sqs}");
            assert!(up(sqs, web, Some("me_1")).resolve(None).is_err(), "{sqs}");
            assert!(
                up(sqs, web, Some("me_1")).resolve(Some("short".to_owned())).is_err(),
                "{sqs}"
            );
            let doors = up(sqs, web, Some("me_1")).resolve(secret()).expect("sound");
            assert_eq!(doors.access_key.map(|(id, _)| id).as_deref(), Some("me_1"));
        }
    }

    #[test]
    fn two_doors_are_not_at_one_place() {
        assert!(
            up("127.0.0.1:9324", Some("127.0.0.1:9324"), None)
                .resolve(None)
                .is_err()
        );
        assert!(up("127.0.0.1:0", Some("127.0.0.1:0"), None).resolve(None).is_ok());
    }

    #[test]
    fn what_is_no_address_is_said() {
        for wrong in ["9324", "queue", "example.com:9324", "127.0.0.1:99999", ":9324"] {
            assert!(parse_address(wrong).is_err(), "{wrong}");
        }
        for wrong in ["ab", "a-b-c", "KTINSTANCE0000000001", "ä_bc"] {
            assert!(parse_access_key(wrong).is_err(), "{wrong}");
        }
        assert!(parse_access_key("AKIDEXAMPLE").is_ok());
    }
}
