//! Where a project listens, for other processes to know: `.kingtide/endpoints.json`, written when everything listens and removed
//! when it does not any more. One that a killed runtime left tells the next which ports its programs were told.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

const FILE: &str = "endpoints.json";
/// Where queues are listened on when nothing else is said, on loopback.
pub const SQS_PORT: u16 = 9324;
/// The same for web pages.
pub const WEB_PORT: u16 = 9325;

/// The addresses of a runtime that stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// The process that listens.
    pub pid: u32,
    pub sqs: SocketAddr,
    /// Where containers reach the queues.
    pub bridge: Option<SocketAddr>,
    pub web: Option<SocketAddr>,
    /// In the ARNs of its queues.
    pub region: String,
    /// The id of the access key that callers must sign with, if they must.
    pub access_key: Option<String>,
}

impl Endpoints {
    /// Writes them for others to read, whole or not at all.
    pub fn write(&self, root: &Path) -> io::Result<()> {
        let text = |address: SocketAddr| address.to_string();
        let value = json!({
            "pid": self.pid,
            "sqs": text(self.sqs),
            "bridge": self.bridge.map(text),
            "web": self.web.map(text),
            "region": self.region,
            "access_key": self.access_key,
        });
        let new = root.join(format!("{FILE}.new"));
        std::fs::write(&new, format!("{value}\n"))?;
        std::fs::rename(new, root.join(FILE))
    }

    /// Those that were written last, by a process that may be gone.
    pub fn read(root: &Path) -> Option<Endpoints> {
        let text = std::fs::read_to_string(root.join(FILE)).ok()?;
        let value: Value = serde_json::from_str(&text).ok()?;
        let address = |name: &str| value[name].as_str().and_then(|text| text.parse().ok());
        Some(Endpoints {
            pid: value["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok())?,
            sqs: address("sqs")?,
            bridge: address("bridge"),
            web: address("web"),
            region: value["region"].as_str()?.to_owned(),
            access_key: value["access_key"].as_str().map(str::to_owned),
        })
    }

    /// Nobody listens any more.
    pub fn remove(root: &Path) {
        // Whoever reads it asks whether the process lives.
        let _ = std::fs::remove_file(root.join(FILE));
    }
}

/// The region in ARNs: that of the environment, as every SDK reads it.
pub fn region() -> String {
    let mut named = ["AWS_REGION", "AWS_DEFAULT_REGION"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok());
    named
        .find(|region| !region.is_empty())
        .unwrap_or_else(|| "us-east-1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(Endpoints::read(folder.path()), None);
        let endpoints = Endpoints {
            pid: 17,
            sqs: "127.0.0.1:9324".parse().expect("an address"),
            bridge: Some("172.17.0.1:9324".parse().expect("an address")),
            web: None,
            region: "eu-west-1".to_owned(),
            access_key: Some("me".to_owned()),
        };
        endpoints.write(folder.path()).expect("written");
        assert_eq!(Endpoints::read(folder.path()), Some(endpoints));
        Endpoints::remove(folder.path());
        assert_eq!(Endpoints::read(folder.path()), None);
    }
}
