//! The queues as a program uses them: one message, batches, dead letters, FIFO, pages, and refusals by their types.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName,
    SendMessageBatchRequestEntry,
};

use crate::exchange::{Exchange, Failed};

pub async fn run(client: &Client) -> Result<(), Failed> {
    one_message(client).await?;
    batches(client).await?;
    dead_letters(client).await?;
    in_order(client).await?;
    pages(client).await?;
    refusals(client).await?;
    println!("fine");
    Ok(())
}

async fn create(client: &Client, name: &str, attributes: &[(QueueAttributeName, &str)]) -> Result<String, Failed> {
    let mut wish = client.create_queue().queue_name(name);
    for (attribute, value) in attributes {
        wish = wish.attributes(attribute.clone(), *value);
    }
    Ok(wish.send().await?.queue_url.ok_or("no URL")?)
}

async fn attribute(client: &Client, url: &str, name: QueueAttributeName) -> Result<String, Failed> {
    let found = client
        .get_queue_attributes()
        .queue_url(url)
        .attribute_names(name.clone())
        .send()
        .await?;
    Ok(found
        .attributes()
        .and_then(|all| all.get(&name))
        .ok_or("no such attribute")?
        .clone())
}

async fn one_message(client: &Client) -> Result<(), Failed> {
    let url = create(client, "rust", &[]).await?;
    let kind = MessageAttributeValue::builder()
        .data_type("String")
        .string_value("new")
        .build()?;
    // It waits before anything is sent.
    let receive = client
        .receive_message()
        .queue_url(&url)
        .wait_time_seconds(20)
        .message_attribute_names("All");
    let waiting = tokio::spawn(
        receive
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send(),
    );
    let sent = client
        .send_message()
        .queue_url(&url)
        .message_body("grüße")
        .message_attributes("kind", kind)
        .send()
        .await?;
    let received = waiting.await??;
    let message = received.messages().first().ok_or("nothing received")?;
    assert_eq!(message.body(), Some("grüße"));
    assert_eq!(message.message_id(), sent.message_id());
    assert_eq!(message.md5_of_message_attributes(), sent.md5_of_message_attributes());
    let kind = message
        .message_attributes()
        .and_then(|all| all.get("kind"))
        .and_then(|kind| kind.string_value());
    assert_eq!(kind, Some("new"));
    let times = message
        .attributes()
        .and_then(|all| all.get(&MessageSystemAttributeName::ApproximateReceiveCount));
    assert_eq!(times.map(String::as_str), Some("1"));
    let receipt = message.receipt_handle().ok_or("no receipt")?;
    client
        .change_message_visibility()
        .queue_url(&url)
        .receipt_handle(receipt)
        .visibility_timeout(60)
        .send()
        .await?;
    assert_eq!(
        attribute(client, &url, QueueAttributeName::ApproximateNumberOfMessagesNotVisible).await?,
        "1"
    );
    client
        .delete_message()
        .queue_url(&url)
        .receipt_handle(receipt)
        .send()
        .await?;
    assert_eq!(
        attribute(client, &url, QueueAttributeName::ApproximateNumberOfMessagesNotVisible).await?,
        "0"
    );
    client.delete_queue().queue_url(&url).send().await?;
    Ok(())
}

async fn batches(client: &Client) -> Result<(), Failed> {
    let exchange = Exchange::open(client.clone(), "rust-batches").await?;
    let url = create(client, "rust-batches", &[]).await?;
    exchange.send((0..9).map(|number| number.to_string()).collect()).await?;
    let entry = |id: &str, body: &str| {
        SendMessageBatchRequestEntry::builder()
            .id(id)
            .message_body(body)
            .build()
    };
    let mixed = client
        .send_message_batch()
        .queue_url(&url)
        .entries(entry("good", "9")?)
        .entries(entry("bad", "\u{1}")?)
        .send()
        .await?;
    assert_eq!(
        (
            mixed.successful()[0].id(),
            mixed.failed()[0].id(),
            mixed.failed()[0].sender_fault()
        ),
        ("good", "bad", true)
    );
    let received = exchange.receive(10, 1).await?;
    let mut bodies: Vec<&str> = received.iter().filter_map(|message| message.body()).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    let back = |(id, receipt): (usize, &str)| {
        let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(id.to_string());
        entry.receipt_handle(receipt).visibility_timeout(0).build()
    };
    let receipts = received.iter().filter_map(|message| message.receipt_handle());
    let entries: Result<Vec<_>, _> = receipts.enumerate().map(back).collect();
    let shown = client
        .change_message_visibility_batch()
        .queue_url(&url)
        .set_entries(Some(entries?))
        .send()
        .await?;
    assert_eq!(shown.successful().len(), 10);
    exchange.delete(exchange.receive(10, 1).await?).await?;
    assert_eq!(
        attribute(client, &url, QueueAttributeName::ApproximateNumberOfMessages).await?,
        "0"
    );
    client.purge_queue().queue_url(&url).send().await?;
    Ok(())
}

async fn dead_letters(client: &Client) -> Result<(), Failed> {
    let dead = create(client, "rust-dead", &[]).await?;
    let arn = attribute(client, &dead, QueueAttributeName::QueueArn).await?;
    let policy = format!("{{\"deadLetterTargetArn\":\"{arn}\",\"maxReceiveCount\":1}}");
    let attributes = [
        (QueueAttributeName::RedrivePolicy, policy.as_str()),
        (QueueAttributeName::VisibilityTimeout, "0"),
    ];
    let url = create(client, "rust-poison", &attributes).await?;
    client
        .send_message()
        .queue_url(&url)
        .message_body("poison")
        .send()
        .await?;
    let receive = |url: &str, wait_s| {
        client
            .receive_message()
            .queue_url(url)
            .visibility_timeout(0)
            .wait_time_seconds(wait_s)
            .send()
    };
    assert_eq!(receive(&url, 0).await?.messages().len(), 1);
    assert_eq!(receive(&url, 0).await?.messages().len(), 0);
    assert_eq!(receive(&dead, 0).await?.messages()[0].body(), Some("poison"));
    client.start_message_move_task().source_arn(&arn).send().await?;
    assert_eq!(receive(&url, 20).await?.messages()[0].body(), Some("poison"));
    Ok(())
}

async fn in_order(client: &Client) -> Result<(), Failed> {
    let attributes = [
        (QueueAttributeName::FifoQueue, "true"),
        (QueueAttributeName::ContentBasedDeduplication, "true"),
    ];
    let url = create(client, "rust.fifo", &attributes).await?;
    for body in ["one", "two", "one"] {
        let sent = client
            .send_message()
            .queue_url(&url)
            .message_body(body)
            .message_group_id("g")
            .send()
            .await?;
        assert!(sent.sequence_number().is_some());
    }
    let received = client
        .receive_message()
        .queue_url(&url)
        .max_number_of_messages(10)
        .send()
        .await?;
    let bodies: Vec<_> = received
        .messages()
        .iter()
        .filter_map(|message| message.body())
        .collect();
    assert_eq!(bodies, ["one", "two"]);
    Ok(())
}

async fn pages(client: &Client) -> Result<(), Failed> {
    for name in ["page-1", "page-2", "page-3"] {
        create(client, name, &[]).await?;
    }
    let mut pages = client
        .list_queues()
        .queue_name_prefix("page-")
        .max_results(2)
        .into_paginator()
        .send();
    let mut lengths = Vec::new();
    while let Some(page) = pages.next().await {
        lengths.push(page?.queue_urls().len());
    }
    assert_eq!(lengths, [2, 1]);
    Ok(())
}

async fn refusals(client: &Client) -> Result<(), Failed> {
    let url = create(client, "rust-refusing", &[]).await?;
    let missing = client
        .get_queue_url()
        .queue_name("nowhere")
        .send()
        .await
        .expect_err("there is no such queue");
    assert!(missing.into_service_error().is_queue_does_not_exist());
    let wrong = client
        .send_message()
        .queue_url(&url)
        .message_body("\u{1}")
        .send()
        .await
        .expect_err("no such character may be sent");
    assert!(wrong.into_service_error().is_invalid_message_contents());
    let receipt = client
        .change_message_visibility()
        .queue_url(&url)
        .receipt_handle("rubbish")
        .visibility_timeout(1);
    let unknown = receipt.send().await.expect_err("no such receipt was given");
    assert!(unknown.into_service_error().is_receipt_handle_is_invalid());
    let empty = client
        .send_message_batch()
        .queue_url(&url)
        .set_entries(Some(Vec::new()))
        .send()
        .await
        .expect_err("nothing to send");
    assert!(empty.into_service_error().is_empty_batch_request());
    Ok(())
}
