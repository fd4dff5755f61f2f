//! `kingtide-aws`: requests on its input, events on its output, and nothing for people. `kingtide` starts it.

use std::io::{self, BufReader};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;

use kingtide_aws::session::Session;
use kingtide_remote::wire::{self, Event, Hello, PROTOCOL, Request};

fn main() -> ExitCode {
    let mut out = io::stdout().lock();
    let hello = Hello {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    if wire::write(&mut out, &Event::Hello(hello)).is_err() {
        return ExitCode::FAILURE;
    }
    let (sender, requests) = mpsc::channel();
    thread::spawn(move || {
        let mut input = BufReader::new(io::stdin());
        loop {
            match wire::read::<Request>(&mut input) {
                Ok(Some(request)) => {
                    if sender.send(request).is_err() {
                        return;
                    }
                }
                // The end of the input is the end of everything, also in the middle of a watch: what was started on AWS goes on.
                Ok(None) => std::process::exit(0),
                Err(error) => {
                    eprintln!("kingtide-aws: what came in is no request: {error}");
                    std::process::exit(2);
                }
            }
        }
    });
    let mut session = Session::default();
    while let Ok(request) = requests.recv() {
        let answered = session.answer(request, &mut |event| wire::write(&mut out, &event));
        if answered.is_err() {
            // Nobody listens any more.
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
