//! The three calls that every message goes through, one message or a batch at a time.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message, SendMessageBatchRequestEntry};

pub type Failed = Box<dyn std::error::Error + Send + Sync>;

/// One client at one queue.
#[derive(Clone)]
pub struct Exchange {
    client: Client,
    url: String,
}

impl Exchange {
    /// Makes the queue where it is missing.
    pub async fn open(client: Client, queue: &str) -> Result<Exchange, Failed> {
        let url = client
            .create_queue()
            .queue_name(queue)
            .send()
            .await?
            .queue_url
            .ok_or("no URL")?;
        Ok(Exchange { client, url })
    }

    /// At most ten. Fails unless all were taken.
    pub async fn send(&self, mut bodies: Vec<String>) -> Result<(), Failed> {
        if bodies.len() == 1 {
            let body = bodies.remove(0);
            self.client
                .send_message()
                .queue_url(&self.url)
                .message_body(body)
                .send()
                .await?;
            return Ok(());
        }
        let entry = |(id, body): (usize, String)| {
            SendMessageBatchRequestEntry::builder()
                .id(id.to_string())
                .message_body(body)
                .build()
        };
        let entries: Result<Vec<_>, _> = bodies.into_iter().enumerate().map(entry).collect();
        let sent = self
            .client
            .send_message_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries?))
            .send()
            .await?;
        match sent.failed() {
            [] => Ok(()),
            failed => Err(format!("{} messages were not taken", failed.len()).into()),
        }
    }

    /// At most so many, and none after so many seconds.
    pub async fn receive(&self, most: usize, wait_s: i32) -> Result<Vec<Message>, Failed> {
        let wish = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(most)?);
        Ok(wish
            .wait_time_seconds(wait_s)
            .send()
            .await?
            .messages
            .unwrap_or_default())
    }

    /// Fails unless all were deleted.
    pub async fn delete(&self, messages: Vec<Message>) -> Result<(), Failed> {
        if let [message] = &messages[..] {
            let receipt = message.receipt_handle().ok_or("no receipt")?;
            self.client
                .delete_message()
                .queue_url(&self.url)
                .receipt_handle(receipt)
                .send()
                .await?;
            return Ok(());
        }
        let entry = |(id, message): (usize, Message)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(id.to_string())
                .set_receipt_handle(message.receipt_handle)
                .build()
        };
        let entries: Result<Vec<_>, _> = messages.into_iter().enumerate().map(entry).collect();
        let done = self
            .client
            .delete_message_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries?))
            .send()
            .await?;
        match done.failed() {
            [] => Ok(()),
            failed => Err(format!("{} messages were not deleted", failed.len()).into()),
        }
    }
}
