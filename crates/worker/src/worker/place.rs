//! Where this worker runs: what the container's metadata endpoint of ECS says of its task
//! (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate.html>). Elsewhere nobody answers, and nothing
//! depends on it.

use std::fs::File;
use std::io::{self, Read as _};
use std::time::Duration;

use kingtide_core::hex;
use kingtide_remote::record::Place;
use kingtide_remote::request::transport::{Body, Call, Surroundings, Transport};
use serde_json::Value;

/// Its document is not longer.
const MOST_BYTES: u64 = 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(5);

/// The place, as far as it is told, and a name that no other worker has.
pub(crate) fn find() -> io::Result<Place> {
    let mut drawn = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut drawn)?;
    let worker = hex::encode(&drawn);
    let Ok(endpoint) = std::env::var("ECS_CONTAINER_METADATA_URI_V4") else {
        return Ok(Place {
            worker,
            ..Place::default()
        });
    };
    let transport = Transport::new(Surroundings::Container);
    let ask = |path: &str| -> Option<Value> {
        let url = format!("{endpoint}{path}");
        let answer = transport.send(&Call {
            method: "GET",
            url: &url,
            headers: &[],
            body: Body::Bytes(&[]),
            patience: PATIENCE,
        });
        serde_json::from_slice(&answer.ok()?.read(MOST_BYTES).ok()?).ok()
    };
    let (task, container) = (ask("/task"), ask(""));
    let text = |of: &Option<Value>, path: &str| {
        let value = of.as_ref().and_then(|value| value.pointer(path)?.as_str());
        value.unwrap_or_default().to_owned()
    };
    Ok(Place {
        task: text(&task, "/TaskARN"),
        zone: text(&task, "/AvailabilityZone"),
        stream: text(&container, "/LogOptions/awslogs-stream"),
        worker,
    })
}
