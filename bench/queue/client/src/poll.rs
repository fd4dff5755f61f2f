//! How long a receive that waits takes to have what was sent, counted from the answer of the send, which is given after its commit.

use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;

use crate::exchange::{Exchange, Failed};

pub async fn run(client: Client, rounds: usize) -> Result<(), Failed> {
    let exchange = Exchange::open(client, "poll").await?;
    let mut waits = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let receiver = exchange.clone();
        let waiting = tokio::spawn(async move {
            let received = receiver.receive(1, 20).await?;
            let arrived = Instant::now();
            if received.is_empty() {
                return Err("nothing came".into());
            }
            receiver.delete(received).await?;
            Ok::<Instant, Failed>(arrived)
        });
        // Until it waits; nothing tells.
        tokio::time::sleep(Duration::from_millis(20)).await;
        exchange.send(vec!["x".to_owned()]).await?;
        let sent = Instant::now();
        waits.push(waiting.await??.saturating_duration_since(sent).as_secs_f64() * 1000.0);
    }
    waits.sort_by(f64::total_cmp);
    let at = |share: usize| waits.get(rounds * share / 100).or(waits.last()).copied().unwrap_or(0.0);
    println!("{:.3} {:.3}", at(50), at(99));
    Ok(())
}
