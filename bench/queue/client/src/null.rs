//! A null server: answers every request of the benchmark at once and with the same words, whatever was asked before. What a client takes
//! against it is the client's own time.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

/// Of the benchmark's body, a hundred times `x`: clients check it.
const MD5: &str = "aed563ecafb4bcc5654c597a421547b2";

/// Listens on a port that the system chooses, says which, and never ends.
pub(crate) fn serve() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        // A client that hangs up has what it wanted.
        std::thread::spawn(move || answer(stream));
    }
    Ok(())
}

fn answer(stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let (mut operation, mut length, mut line) = (String::new(), 0, String::new());
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let lower = line.trim_end().to_ascii_lowercase();
            if lower.is_empty() {
                break;
            }
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if let Some(value) = lower.strip_prefix("x-amz-target: amazonsqs.") {
                operation = value.to_owned();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let body = reply(&operation, &String::from_utf8_lossy(&body));
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
    }
}

fn reply(operation: &str, body: &str) -> String {
    let many = |entry: &dyn Fn(usize) -> String, count: usize| {
        (0..count).fold(String::new(), |mut text, number| {
            let comma = if number == 0 { "" } else { "," };
            let _ = write!(text, "{comma}{}", entry(number));
            text
        })
    };
    match operation {
        "createqueue" | "getqueueurl" => "{\"QueueUrl\":\"http://127.0.0.1/000000000000/load\"}".to_owned(),
        "sendmessage" => format!("{{\"MD5OfMessageBody\":\"{MD5}\",\"MessageId\":\"0\"}}"),
        "sendmessagebatch" => {
            let entry =
                |id: usize| format!("{{\"Id\":\"{id}\",\"MD5OfMessageBody\":\"{MD5}\",\"MessageId\":\"{id}\"}}");
            format!(
                "{{\"Successful\":[{}],\"Failed\":[]}}",
                many(&entry, body.matches("\"Id\"").count())
            )
        }
        "deletemessagebatch" => {
            let entry = |id: usize| format!("{{\"Id\":\"{id}\"}}");
            format!(
                "{{\"Successful\":[{}],\"Failed\":[]}}",
                many(&entry, body.matches("\"Id\"").count())
            )
        }
        "receivemessage" => {
            let after = body
                .split("\"MaxNumberOfMessages\":")
                .nth(1)
                .unwrap_or("1")
                .trim_start();
            let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
            let text = "x".repeat(100);
            let entry = |id: usize| {
                format!(
                    "{{\"MessageId\":\"{id}\",\"ReceiptHandle\":\"r{id}\",\"MD5OfBody\":\"{MD5}\",\"Body\":\"{text}\"}}"
                )
            };
            format!("{{\"Messages\":[{}]}}", many(&entry, digits.parse().unwrap_or(1)))
        }
        _ => "{}".to_owned(),
    }
}
