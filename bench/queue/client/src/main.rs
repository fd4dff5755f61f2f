//! The Rust SDK against the queues: `sqs-client smoke` uses them as a program does, `sqs-client load CLIENTS BATCH MESSAGES`
//! sends, receives and deletes so many messages and prints how many a second went through all three, `sqs-client poll N` measures
//! how long after a send a long-polling receive has the message, `sqs-client fill MESSAGES` leaves a backlog, `sqs-client null` is a
//! server that answers all of them with fixed words. The environment says where, as for every AWS SDK.

mod null;

use std::time::{Duration, Instant};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, MessageAttributeValue, SendMessageBatchRequestEntry};

type Failed = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_config::from_env().http_client(http).load().await;
    let client = Client::new(&config);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |index: usize| -> Result<usize, Failed> { Ok(arguments.get(index).ok_or("a number is missing")?.parse()?) };
    match arguments.first().map(String::as_str) {
        Some("smoke") => smoke(&client).await,
        Some("load") => load(client, number(1)?, number(2)?, number(3)?).await,
        Some("poll") => poll(client, number(1)?).await,
        Some("null") => Ok(null::serve()?),
        Some("fill") => fill(client, number(1)?).await,
        _ => Err("usage: sqs-client smoke | load CLIENTS BATCH MESSAGES | poll N | fill MESSAGES | null".into()),
    }
}

async fn smoke(client: &Client) -> Result<(), Failed> {
    let url = client
        .create_queue()
        .queue_name("rust")
        .send()
        .await?
        .queue_url
        .ok_or("no URL")?;
    let kind = MessageAttributeValue::builder()
        .data_type("String")
        .string_value("new")
        .build()?;
    client
        .send_message()
        .queue_url(&url)
        .message_body("grüße")
        .message_attributes("kind", kind)
        .send()
        .await?;
    let received = client
        .receive_message()
        .queue_url(&url)
        .wait_time_seconds(5)
        .message_attribute_names("All")
        .send()
        .await?;
    let message = received.messages().first().ok_or("nothing received")?;
    assert_eq!(message.body(), Some("grüße"));
    let receipt = message.receipt_handle().ok_or("no receipt")?;
    client
        .change_message_visibility()
        .queue_url(&url)
        .receipt_handle(receipt)
        .visibility_timeout(60)
        .send()
        .await?;
    client
        .delete_message()
        .queue_url(&url)
        .receipt_handle(receipt)
        .send()
        .await?;
    let missing = client
        .get_queue_url()
        .queue_name("nowhere")
        .send()
        .await
        .expect_err("there is no such queue");
    assert!(missing.into_service_error().is_queue_does_not_exist());
    client.delete_queue().queue_url(&url).send().await?;
    println!("fine");
    Ok(())
}

async fn load(client: Client, clients: usize, batch: usize, messages: usize) -> Result<(), Failed> {
    let url = client
        .create_queue()
        .queue_name("load")
        .send()
        .await?
        .queue_url
        .ok_or("no URL")?;
    let began = Instant::now();
    let each = messages / clients;
    let workers = (0..clients).map(|_| tokio::spawn(work(client.clone(), url.clone(), batch, each)));
    for worker in workers.collect::<Vec<_>>() {
        worker.await??;
    }
    println!("{:.0}", (each * clients) as f64 / began.elapsed().as_secs_f64());
    Ok(())
}

/// Sends, then receives and deletes as many, in rounds of one batch: whose messages they are does not matter.
async fn work(client: Client, url: String, batch: usize, messages: usize) -> Result<(), Failed> {
    let body = "x".repeat(100);
    let mut left = messages;
    while left > 0 {
        let now = left.min(batch);
        if batch == 1 {
            client.send_message().queue_url(&url).message_body(&body).send().await?;
        } else {
            let entry = |id: usize| {
                SendMessageBatchRequestEntry::builder()
                    .id(id.to_string())
                    .message_body(&body)
                    .build()
            };
            let entries: Result<Vec<_>, _> = (0..now).map(entry).collect();
            let sent = client
                .send_message_batch()
                .queue_url(&url)
                .set_entries(Some(entries?))
                .send()
                .await?;
            assert!(sent.failed().is_empty());
        }
        let mut received = 0;
        while received < now {
            let found = client
                .receive_message()
                .queue_url(&url)
                .max_number_of_messages((now - received) as i32)
                .wait_time_seconds(1)
                .send()
                .await?;
            let found = found.messages.unwrap_or_default();
            received += found.len();
            if batch == 1 {
                for message in found {
                    client
                        .delete_message()
                        .queue_url(&url)
                        .set_receipt_handle(message.receipt_handle)
                        .send()
                        .await?;
                }
            } else if !found.is_empty() {
                let entry = |(id, message): (usize, aws_sdk_sqs::types::Message)| {
                    DeleteMessageBatchRequestEntry::builder()
                        .id(id.to_string())
                        .set_receipt_handle(message.receipt_handle)
                        .build()
                };
                let entries: Result<Vec<_>, _> = found.into_iter().enumerate().map(entry).collect();
                let done = client
                    .delete_message_batch()
                    .queue_url(&url)
                    .set_entries(Some(entries?))
                    .send()
                    .await?;
                assert!(done.failed().is_empty());
            }
        }
        left -= now;
    }
    Ok(())
}

/// Sends and receives nothing.
async fn fill(client: Client, messages: usize) -> Result<(), Failed> {
    const CLIENTS: usize = 8;
    let url = client
        .create_queue()
        .queue_name("load")
        .send()
        .await?
        .queue_url
        .ok_or("no URL")?;
    let workers = (0..CLIENTS).map(|_| {
        let (client, url) = (client.clone(), url.clone());
        tokio::spawn(async move {
            let body = "x".repeat(100);
            for _ in 0..messages / CLIENTS / 10 {
                let entry = |id: usize| {
                    SendMessageBatchRequestEntry::builder()
                        .id(id.to_string())
                        .message_body(&body)
                        .build()
                };
                let entries: Result<Vec<_>, _> = (0..10).map(entry).collect();
                client
                    .send_message_batch()
                    .queue_url(&url)
                    .set_entries(Some(entries?))
                    .send()
                    .await?;
            }
            Ok::<(), Failed>(())
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await??;
    }
    Ok(())
}

/// Milliseconds from the answer of a send to that of a receive that was waiting: median and 99th percentile.
async fn poll(client: Client, rounds: usize) -> Result<(), Failed> {
    let url = client
        .create_queue()
        .queue_name("poll")
        .send()
        .await?
        .queue_url
        .ok_or("no URL")?;
    let mut waits = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let (receiver, at) = (client.clone(), url.clone());
        let waiting = tokio::spawn(async move {
            let received = receiver
                .receive_message()
                .queue_url(&at)
                .wait_time_seconds(20)
                .send()
                .await?;
            let arrived = Instant::now();
            let receipt = received
                .messages
                .unwrap_or_default()
                .into_iter()
                .next()
                .and_then(|message| message.receipt_handle);
            receiver
                .delete_message()
                .queue_url(&at)
                .set_receipt_handle(receipt)
                .send()
                .await?;
            Ok::<Instant, Failed>(arrived)
        });
        // Until it waits; nothing tells.
        tokio::time::sleep(Duration::from_millis(20)).await;
        client.send_message().queue_url(&url).message_body("x").send().await?;
        let sent = Instant::now();
        waits.push(waiting.await??.saturating_duration_since(sent).as_secs_f64() * 1000.0);
    }
    waits.sort_by(f64::total_cmp);
    println!(
        "{:.2} {:.2}",
        waits[rounds / 2],
        waits[(rounds * 99 / 100).min(rounds - 1)]
    );
    Ok(())
}
