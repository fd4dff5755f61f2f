//! An S3 for tests, in memory: as much of it as `kingtide-remote` asks for, with conditional writes decided one after the other, and with faults on
//! demand. `objects.rs` is what it does. Buckets are there when something is put into them.

mod objects;

use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use self::objects::Objects;
use crate::http::{self, Answer, Request};

/// A server; it ends with the test's process.
#[derive(Clone)]
pub struct S3 {
    /// Host and port.
    pub address: String,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    objects: Objects,
    faults: Vec<Fault>,
    /// `PUT bucket/key`, in the order in which they came.
    requests: Vec<String>,
}

/// What goes wrong, with the next requests that fit.
#[derive(Clone, Debug)]
pub struct Fault {
    /// A part of `PUT bucket/key`.
    pub of: String,
    /// So many of them.
    pub times: u32,
    pub harm: Harm,
}

/// How.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Refused with a status and a code; nothing is done.
    Refused(u16, &'static str),
    /// The connection is cut before anything is done.
    Cut,
    /// It is done, and the connection cut before that is said.
    Unsaid,
    /// The connection is cut in the middle of the answer's body.
    Half,
    /// Answered only after this.
    Slow(Duration),
}

impl S3 {
    /// On a free port of this machine.
    pub fn start() -> S3 {
        let mut server = S3 {
            address: String::new(),
            shared: Arc::default(),
        };
        let serving = server.clone();
        server.address = http::listen(move |stream| serving.serve(stream));
        server
    }

    /// For `AWS_ENDPOINT_URL_S3`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What an object holds.
    pub fn object(&self, bucket: &str, key: &str) -> Option<Vec<u8>> {
        self.lock().objects.get(bucket, key).map(|object| object.body.clone())
    }

    /// Puts an object there.
    pub fn put(&self, bucket: &str, key: &str, body: &[u8]) {
        self.lock().objects.put(bucket, key, body.to_vec());
    }

    /// The keys of a bucket that begin so, in their order.
    pub fn keys(&self, bucket: &str, prefix: &str) -> Vec<String> {
        self.lock().objects.keys(bucket, prefix)
    }

    /// From now on.
    pub fn fault(&self, of: &str, times: u32, harm: Harm) {
        self.lock().faults.push(Fault {
            of: of.to_owned(),
            times,
            harm,
        });
    }

    /// Everything that was asked so far.
    pub fn requests(&self) -> Vec<String> {
        self.lock().requests.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One request after the other, until the other side goes.
    fn serve(&self, stream: TcpStream) {
        let mut connection = http::Connection::new(stream);
        while let Some(request) = connection.read() {
            let harm = self.harm(&request);
            let answer = match harm {
                Some(Harm::Cut) => return,
                Some(Harm::Refused(status, code)) => Answer::refused(status, code),
                _ => self.lock().objects.answer(&request),
            };
            match harm {
                Some(Harm::Unsaid) => return,
                Some(Harm::Half) => {
                    connection.write_half(&request, &answer);
                    return;
                }
                // That it takes long is the fault.
                Some(Harm::Slow(pause)) => thread::sleep(pause),
                _ => {}
            }
            if !connection.write(&request, &answer) {
                return;
            }
        }
    }

    fn harm(&self, request: &Request) -> Option<Harm> {
        let mut shared = self.lock();
        let line = format!("{} {}/{}", request.method, request.bucket, request.key);
        let fault = shared
            .faults
            .iter_mut()
            .find(|fault| fault.times > 0 && line.contains(&fault.of));
        let harm = fault.map(|fault| {
            fault.times -= 1;
            fault.harm
        });
        shared.requests.push(line);
        harm
    }
}
