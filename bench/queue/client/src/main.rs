//! The Rust SDK against the queues. The environment says where they are, as for every AWS SDK.
//!
//! `smoke` uses them as a program does, `load` measures, `soak` counts what was lost or came twice, `poll` measures how long a waiting
//! receive takes to have what was sent, `fill` leaves a backlog. Each is a file of its own; `exchange.rs` is what they share. The server of
//! fixed answers is `bin/sqs-null.rs`.

mod exchange;
mod load;
mod poll;
mod smoke;
mod soak;

use std::time::Duration;

use aws_sdk_sqs::Client;
use exchange::Failed;

const USAGE: &str = "\
usage: sqs-client smoke
       sqs-client load CLIENTS BATCH SECONDS   messages a second through send, receive and delete
       sqs-client soak CLIENTS BATCH SECONDS   messages sent, received, lost, received twice
       sqs-client poll ROUNDS                  milliseconds from a send's answer to a waiting receive's: median, 99th percentile
       sqs-client fill MESSAGES                sends them, and leaves them";

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_config::from_env().http_client(http).load().await;
    let client = Client::new(&config);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize| -> Result<usize, Failed> { Ok(arguments.get(index).ok_or(USAGE)?.parse()?) };
    let time = |index: usize| Ok::<_, Failed>(Duration::from_secs(number(index)? as u64));
    match arguments.first().map(String::as_str) {
        Some("smoke") => smoke::run(&client).await,
        Some("load") => load::run(client, number(1)?, number(2)?, time(3)?).await,
        Some("soak") => soak::run(client, number(1)?, number(2)?, time(3)?).await,
        Some("poll") => poll::run(client, number(1)?).await,
        Some("fill") => load::fill(client, number(1)?).await,
        _ => Err(USAGE.into()),
    }
}
