//! Accepts connections on one address and serves each on a task of its own, within its limits, until it is closed.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;

use super::body::{self, Room};
use super::origin::{self, Hosts};
use super::stream::Stream;
use super::{Answer, Limits, Request, Service};

/// After a connection could not be accepted for want of memory or file descriptors: nothing tells when there is more.
const SHORTAGE: Duration = Duration::from_millis(100);

/// What connections are told while they are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// To close as soon as nothing is being answered. The number tells one such word from the next.
    MakeRoom(u64),
    /// The same, and nothing is accepted any more.
    Close,
    /// To end, whatever is being answered.
    Cut,
}

/// An address that is listened on. Dropping it closes it as `close` does, without waiting.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    /// Holds the address until it has ended.
    accepting: JoinHandle<()>,
    word: watch::Sender<Word>,
    /// One permit a connection.
    places: Arc<Semaphore>,
    connections: u32,
}

struct Shop<S> {
    service: S,
    hosts: Hosts,
    limits: Limits,
    room: Room,
    local: SocketAddr,
}

/// Listens on a bound address, and serves connections on these runtimes in turn; there must be one.
///
/// # Errors
/// When the system does not let the listener wait for connections without blocking.
pub fn listen<S: Service>(
    threads: &[Handle],
    listener: TcpListener,
    hosts: Hosts,
    limits: Limits,
    service: S,
) -> io::Result<Listener> {
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let first = threads.first().expect("one to listen on");
    let _inside = first.enter();
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let (word, heard) = watch::channel(Word::MakeRoom(0));
    let connections = u32::try_from(limits.connections).unwrap_or(u32::MAX).max(1);
    let places = Arc::new(Semaphore::new(connections as usize));
    let shop = Arc::new(Shop {
        service,
        hosts,
        limits,
        room: Room::new(&limits),
        local: address,
    });
    let accepting = first.spawn(accept(
        listener,
        threads.to_vec(),
        shop,
        Arc::clone(&places),
        word.clone(),
        heard,
    ));
    Ok(Listener {
        address,
        accepting,
        word,
        places,
        connections,
    })
}

impl Listener {
    /// The address that is listened on, with the port that the system chose where it was asked to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts nothing more, closes what idles, and waits until what is being answered has been, but no longer than
    /// `patience`. Says whether all were done by then; whoever was not is cut off.
    pub async fn close(mut self, patience: Duration) -> bool {
        self.word.send_replace(Word::Close);
        let all_end = async {
            // Once it has, the address is free.
            let _ = (&mut self.accepting).await;
            let _ = self.places.acquire_many(self.connections).await;
        };
        let done = tokio::time::timeout(patience, all_end).await.is_ok();
        self.word.send_replace(Word::Cut);
        done
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.word.send_if_modified(|word| {
            let opens = matches!(word, Word::MakeRoom(_));
            if opens {
                *word = Word::Close;
            }
            opens
        });
    }
}

async fn accept<S: Service>(
    listener: tokio::net::TcpListener,
    threads: Vec<Handle>,
    shop: Arc<Shop<S>>,
    places: Arc<Semaphore>,
    word: watch::Sender<Word>,
    mut heard: watch::Receiver<Word>,
) {
    for thread in threads.iter().cycle() {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = closing(&mut heard) => return,
        };
        let tcp = match accepted {
            Ok((tcp, _)) => tcp,
            Err(error) if is_callers(&error) => continue,
            Err(_) => {
                // Without the pause the loop would spin until there is more.
                tokio::time::sleep(SHORTAGE).await;
                continue;
            }
        };
        let place = tokio::select! {
            place = place(&places, &word) => place,
            () = closing(&mut heard) => return,
        };
        // From here on it hears every word; what made room for it is not meant for it.
        let for_it = word.subscribe();
        if is_closing(&for_it) {
            return;
        }
        // Only slower without.
        let _ = tcp.set_nodelay(true);
        // It belongs to the runtime that accepted it, until it is taken out.
        let Ok(tcp) = tcp.into_std() else { continue };
        let shop = Arc::clone(&shop);
        thread.spawn(async move {
            if let Ok(tcp) = TcpStream::from_std(tcp) {
                serve(tcp, shop, place, for_it).await;
            }
        });
    }
}

/// A free place. When there is none, connections that idle are asked to make room.
async fn place(places: &Arc<Semaphore>, word: &watch::Sender<Word>) -> OwnedSemaphorePermit {
    if let Ok(place) = Arc::clone(places).try_acquire_owned() {
        return place;
    }
    word.send_if_modified(|word| match word {
        Word::MakeRoom(times) => {
            *times += 1;
            true
        }
        Word::Close | Word::Cut => false,
    });
    let place = Arc::clone(places).acquire_owned().await;
    place.expect("the places are never closed")
}

fn is_closing(heard: &watch::Receiver<Word>) -> bool {
    !matches!(*heard.borrow(), Word::MakeRoom(_))
}

async fn closing(heard: &mut watch::Receiver<Word>) {
    // A sender that is gone is a listener that is gone.
    let _ = heard.wait_for(|word| !matches!(word, Word::MakeRoom(_))).await;
}

/// The caller went away between its knock and our opening.
fn is_callers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

async fn serve<S: Service>(
    tcp: TcpStream,
    shop: Arc<Shop<S>>,
    place: OwnedSemaphorePermit,
    mut heard: watch::Receiver<Word>,
) {
    let limits = shop.limits;
    let io = TokioIo::new(Stream::new(tcp, limits.write_patience));
    let leaving = &AtomicBool::new(false);
    let word = &heard.clone();
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let shop = Arc::clone(&shop);
        async move {
            let mut answer = answer(&shop, request).await;
            // Or the caller would send its next request to nobody.
            if leaving.load(Ordering::Relaxed) || is_closing(word) {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
            }
            Ok::<Answer, Infallible>(answer)
        }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_patience)
        .max_header_size(limits.header_bytes);
    if limits.headers != DEFAULT_HEADERS {
        builder.max_headers(limits.headers);
    }
    let mut connection = pin!(builder.serve_connection(io, service));
    loop {
        tokio::select! {
            // Whatever it ended with, there is nobody left to tell.
            _ = connection.as_mut() => break,
            told = heard.changed() => {
                let word = *heard.borrow_and_update();
                if word == Word::Cut {
                    break;
                }
                leaving.store(true, Ordering::Relaxed);
                connection.as_mut().graceful_shutdown();
                if told.is_err() {
                    // The listener is gone, and nothing more will be heard.
                    let _ = connection.as_mut().await;
                    break;
                }
            }
        }
    }
    drop(place);
}

/// hyper's own limit of headers; to name it costs an allocation a request.
const DEFAULT_HEADERS: usize = 100;

async fn answer<S: Service>(shop: &Shop<S>, request: hyper::Request<Incoming>) -> Answer {
    let (head, incoming) = request.into_parts();
    let refusal = match origin::examine(&head, shop.local, &shop.hosts) {
        Err(refusal) => refusal,
        Ok(()) => match body::read(incoming, &shop.limits, &shop.room).await {
            Ok((body, room)) => {
                let request = Request {
                    head,
                    body,
                    local: shop.local,
                    _room: room,
                };
                return shop.service.answer(request).await;
            }
            Err(refusal) => refusal,
        },
    };
    let mut answer = shop.service.refuse(&head, refusal);
    refusal.ends_the_connection(&mut answer);
    answer
}
