//! The keeper's socket, `.kingtide/keeper.sock`: how it is opened and how it is named.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::keeper::{LOCK, SOCKET};

/// A path of a socket may have 107 bytes; through a descriptor of its folder every folder will do.
pub(crate) fn socket_address(kingtide_dir: &Path) -> io::Result<(OwnedFd, SocketAddrUnix)> {
    let folder = rustix::fs::open(
        kingtide_dir,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let address = SocketAddrUnix::new(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()))?;
    Ok((folder, address))
}

/// Opens it in the place of a dead keeper's.
pub(crate) fn listen(kingtide_dir: &Path) -> io::Result<OwnedFd> {
    debug_assert!(kingtide_dir.join(LOCK).exists(), "the lock is held");
    let (_folder, address) = socket_address(kingtide_dir)?;
    match std::fs::remove_file(kingtide_dir.join(SOCKET)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &address)?;
    rustix::fs::chmod(kingtide_dir.join(SOCKET), Mode::from_raw_mode(0o600))?;
    rustix::net::listen(&socket, 16)?;
    Ok(socket)
}
