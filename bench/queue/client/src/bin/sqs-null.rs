//! A server that answers every request of the queues' JSON protocol at once with what it always answers: the rate of a client
//! against it is what client, HTTP and system allow. The answers are as long as real ones and their digests are right, so clients take them.
//! It is made of what Kingtide's listener is made of: hyper on tokio.
//!
//! usage: `sqs-null BATCH`; prints the address, and serves until it is killed.

use std::convert::Infallible;
use std::fmt::Write as _;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use md5::{Digest, Md5};

/// As the load's are.
const BODY_BYTES: usize = 100;
const ID: &str = "2e3f1a07-6a1c-4c0b-9d51-5f3a3d2b8c11";
const RECEIPT: &str = "000000000000002a000000000000000169f9a093bf0df263";

/// One answer for each operation.
struct Answers {
    url: Bytes,
    sent: Bytes,
    sent_batch: Bytes,
    received: Bytes,
    deleted_batch: Bytes,
    nothing: Bytes,
}

impl Answers {
    fn new(address: &str, batch: usize) -> Answers {
        let body = "x".repeat(BODY_BYTES);
        let digest = Md5::digest(&body).iter().fold(String::new(), |mut text, byte| {
            // Writing to a text cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        let each = |one: &dyn Fn(usize) -> String| (0..batch).map(one).collect::<Vec<_>>().join(",");
        let sent = each(&|id| format!("{{\"Id\":\"{id}\",\"MD5OfMessageBody\":\"{digest}\",\"MessageId\":\"{ID}\"}}"));
        let message = |_| {
            format!(
                "{{\"Body\":\"{body}\",\"MD5OfBody\":\"{digest}\",\"MessageId\":\"{ID}\",\"ReceiptHandle\":\"{RECEIPT}\"}}"
            )
        };
        let received = each(&message);
        let deleted = each(&|id| format!("{{\"Id\":\"{id}\"}}"));
        Answers {
            url: format!("{{\"QueueUrl\":\"http://{address}/000000000000/load\"}}").into(),
            sent: format!("{{\"MD5OfMessageBody\":\"{digest}\",\"MessageId\":\"{ID}\"}}").into(),
            sent_batch: format!("{{\"Failed\":[],\"Successful\":[{sent}]}}").into(),
            received: format!("{{\"Messages\":[{received}]}}").into(),
            deleted_batch: format!("{{\"Failed\":[],\"Successful\":[{deleted}]}}").into(),
            nothing: Bytes::new(),
        }
    }

    fn to(&self, operation: &[u8]) -> Bytes {
        let answer = match operation {
            b"AmazonSQS.SendMessage" => &self.sent,
            b"AmazonSQS.SendMessageBatch" => &self.sent_batch,
            b"AmazonSQS.ReceiveMessage" => &self.received,
            b"AmazonSQS.DeleteMessageBatch" => &self.deleted_batch,
            b"AmazonSQS.DeleteMessage" => &self.nothing,
            _ => &self.url,
        };
        answer.clone()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let batch = std::env::args().nth(1).ok_or("usage: sqs-null BATCH")?.parse()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    // It lives as long as the process.
    let answers: &'static Answers = Box::leak(Box::new(Answers::new(&address, batch)));
    println!("http://{address}");
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| async move {
                let operation = request.headers().get("x-amz-target").cloned();
                // The request is read to its end, as everybody has to. A caller that has gone gets no answer.
                let _ = request.into_body().collect().await;
                let answer = answers.to(operation.as_ref().map_or(b"", |operation| operation.as_bytes()));
                let response = Response::builder()
                    .header("content-type", "application/x-amz-json-1.0")
                    .header("x-amzn-requestid", "4fc23fcf-7be2-48e4-8000-000000000077")
                    .body(Full::new(answer));
                Ok::<_, Infallible>(response.expect("its headers are well-formed"))
            });
            // A connection that breaks is its caller's affair.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
