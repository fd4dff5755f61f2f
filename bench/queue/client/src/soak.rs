//! Many clients at once, each sending what nobody else sends; at the end the queue is emptied and everything is counted.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::Message;

use crate::exchange::{Exchange, Failed};

/// Longer than no message is there, when all are deleted or hidden.
const DRAIN_S: i32 = 5;

pub async fn run(client: Client, clients: usize, batch: usize, time: Duration) -> Result<(), Failed> {
    let exchange = Exchange::open(client, "soak").await?;
    let tasks: Vec<_> = (0..clients)
        .map(|number| tokio::spawn(work(exchange.clone(), number, batch, time)))
        .collect();
    let (mut sent, mut received) = (HashSet::new(), HashMap::new());
    for task in tasks {
        let (of_it, for_it) = task.await??;
        sent.extend(of_it);
        count(&mut received, for_it);
    }
    loop {
        let rest = exchange.receive(10, DRAIN_S).await?;
        if rest.is_empty() {
            break;
        }
        count(&mut received, bodies(&rest));
        exchange.delete(rest).await?;
    }
    let lost = sent.iter().filter(|body| !received.contains_key(*body)).count();
    // Each was deleted long before it could be seen again.
    let twice = received.values().filter(|times| **times > 1).count();
    let foreign = received.keys().filter(|body| !sent.contains(*body)).count();
    println!(
        "sent {}\nreceived {}\nlost {lost}\ntwice {twice}\nforeign {foreign}",
        sent.len(),
        received.len()
    );
    Ok(())
}

async fn work(
    exchange: Exchange,
    number: usize,
    batch: usize,
    time: Duration,
) -> Result<(Vec<String>, Vec<String>), Failed> {
    let began = Instant::now();
    let (mut sent, mut received) = (Vec::new(), Vec::new());
    while began.elapsed() < time {
        let fresh: Vec<String> = (0..batch).map(|one| format!("{number}-{}", sent.len() + one)).collect();
        exchange.send(fresh.clone()).await?;
        sent.extend(fresh);
        let found = exchange.receive(batch, 1).await?;
        received.extend(bodies(&found));
        if !found.is_empty() {
            exchange.delete(found).await?;
        }
    }
    Ok((sent, received))
}

fn bodies(messages: &[Message]) -> Vec<String> {
    messages.iter().filter_map(|message| message.body.clone()).collect()
}

fn count(received: &mut HashMap<String, u32>, bodies: Vec<String>) {
    for body in bodies {
        *received.entry(body).or_default() += 1;
    }
}
