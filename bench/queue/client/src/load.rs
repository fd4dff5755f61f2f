//! How many messages a second go through send, receive and delete; and the backlog beside which that is measured.

use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;

use crate::exchange::{Exchange, Failed};

const QUEUE: &str = "load";
/// The server of fixed answers has the same.
const BODY_BYTES: usize = 100;

/// Rounds of one batch on each client until time is up; prints the rate.
pub async fn run(client: Client, clients: usize, batch: usize, time: Duration) -> Result<(), Failed> {
    let exchange = Exchange::open(client, QUEUE).await?;
    // The connections stand before the clock runs.
    all(clients, |_| work(exchange.clone(), batch, Duration::ZERO)).await?;
    let began = Instant::now();
    let done = all(clients, |_| work(exchange.clone(), batch, time)).await?;
    println!("{:.1}", done as f64 / began.elapsed().as_secs_f64());
    Ok(())
}

/// Sends so many and receives none.
pub async fn fill(client: Client, messages: usize) -> Result<(), Failed> {
    const CLIENTS: usize = 8;
    const BATCH: usize = 10;
    let exchange = Exchange::open(client, QUEUE).await?;
    let batches = messages.div_ceil(BATCH);
    let share = move |number: usize| batches / CLIENTS + usize::from(number < batches % CLIENTS);
    all(CLIENTS, |number| {
        let exchange = exchange.clone();
        async move {
            for _ in 0..share(number) {
                exchange.send(vec!["x".repeat(BODY_BYTES); BATCH]).await?;
            }
            Ok(share(number) * BATCH)
        }
    })
    .await
    .map(drop)
}

/// One round at least. Whose messages it receives does not matter: as many as it sent.
async fn work(exchange: Exchange, batch: usize, time: Duration) -> Result<usize, Failed> {
    let began = Instant::now();
    let mut done = 0;
    loop {
        exchange.send(vec!["x".repeat(BODY_BYTES); batch]).await?;
        let mut left = batch;
        while left > 0 {
            let received = exchange.receive(left, 1).await?;
            left -= received.len();
            done += received.len();
            if !received.is_empty() {
                exchange.delete(received).await?;
            }
        }
        if began.elapsed() >= time {
            return Ok(done);
        }
    }
}

/// So many at once; the sum of what they did.
async fn all<F>(clients: usize, each: impl Fn(usize) -> F) -> Result<usize, Failed>
where
    F: Future<Output = Result<usize, Failed>> + Send + 'static,
{
    let tasks: Vec<_> = (0..clients).map(|number| tokio::spawn(each(number))).collect();
    let mut sum = 0;
    for task in tasks {
        sum += task.await??;
    }
    Ok(sum)
}
