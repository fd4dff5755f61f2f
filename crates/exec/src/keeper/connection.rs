//! One connection to the keeper's socket: frames in, frames out, and no call that waits.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::SendFlags;

use crate::wire::{self, Frames, Report, Request};

/// More than this is not read in one go, so that one peer cannot keep the others waiting.
const READS_IN_A_ROW: usize = 16;

#[derive(Debug)]
pub(crate) struct Connection {
    socket: OwnedFd,
    frames: Frames,
    pub(crate) unsent: Vec<u8>,
    sent: usize,
    closed: bool,
}

impl Connection {
    /// The socket does not block.
    pub(crate) fn new(socket: OwnedFd) -> Connection {
        Connection {
            socket,
            frames: Frames::default(),
            unsent: Vec::new(),
            sent: 0,
            closed: false,
        }
    }

    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// What has arrived. A peer that does not speak the protocol is one that has hung up.
    pub(crate) fn receive(&mut self) -> Vec<Request> {
        let mut requests = Vec::new();
        for _ in 0..READS_IN_A_ROW {
            match self.frames.read_from(&self.socket) {
                Ok(0) => self.closed = true,
                Ok(_) => {}
                Err(Errno::WOULDBLOCK) => break,
                Err(_) => self.closed = true,
            }
            loop {
                match self.frames.next_message() {
                    Ok(Some(request)) => requests.push(request),
                    Ok(None) => break,
                    Err(_) => {
                        self.closed = true;
                        break;
                    }
                }
            }
            if self.closed {
                break;
            }
        }
        requests
    }

    pub(crate) fn say(&mut self, report: &Report) {
        wire::encode(report, &mut self.unsent);
    }

    /// Sends what the peer takes.
    pub(crate) fn flush(&mut self) {
        while !self.closed && self.sent < self.unsent.len() {
            match rustix::net::send(&self.socket, &self.unsent[self.sent..], SendFlags::NOSIGNAL) {
                Ok(sent) => self.sent += sent,
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => break,
                Err(_) => self.closed = true,
            }
        }
        if self.sent == self.unsent.len() {
            self.unsent.clear();
        } else {
            self.unsent.drain(..self.sent);
        }
        self.sent = 0;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(crate) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }
}
