//! Random bytes of the system's own: for keys, names and seeds that no other process draws.

use std::io::{self, Read};

/// So many of them.
pub(crate) fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
