//! Processes that lost their parent: they are handed to this one, which as the first of its container nobody else would relieve. Those that have
//! ended are reaped at once; those that outlive their attempt are ended with it.

use kingtide_exec::processes::{self, Table};

/// So many looks at what dies and forks meanwhile; what is left after them is stuck in the kernel.
const LOOKS: u32 = 1000;

/// Orphans below this process come to it, also where it is not the first of its container.
pub(crate) fn adopt() {
    // SAFETY: takes a number, and changes nothing but an attribute of this process.
    unsafe {
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    }
}

/// Reaps orphans that have ended; from the main thread, whose children they are. The program's own end is not looked at.
pub(crate) fn reap() {
    while wait(libc::WNOHANG | libc::__WNOTHREAD | libc::__WALL) > 0 {}
}

/// Ends everything that the program has left behind, and returns once it is gone. Only when the program itself has ended and is reaped.
pub(crate) fn end_all() {
    let this = rustix::process::getpid().as_raw_nonzero().get();
    for _ in 0..LOOKS {
        let Ok(table) = Table::read() else { return };
        let left: Vec<_> = table.children(this).filter(|process| !process.is_zombie).collect();
        for process in &left {
            processes::kill(process);
        }
        // Waited for by name: what they leave behind themselves comes to us meanwhile, lives, and is seen with the next look.
        for process in &left {
            wait_for(process.pid, libc::__WALL);
        }
        while wait(libc::WNOHANG | libc::__WALL) > 0 {}
        if left.is_empty() && wait(libc::WNOHANG | libc::__WALL) < 0 {
            return;
        }
    }
}

/// The process that has ended; zero when all live, less when there is none.
fn wait(flags: libc::c_int) -> libc::pid_t {
    wait_for(-1, flags)
}

/// The same of one; -1 is any.
fn wait_for(of: libc::pid_t, flags: libc::c_int) -> libc::pid_t {
    loop {
        let mut status = 0;
        // SAFETY: writes to `status` and nothing else.
        let pid = unsafe { libc::waitpid(of, &mut status, flags) };
        if pid >= 0 || std::io::Error::last_os_error().kind() != std::io::ErrorKind::Interrupted {
            return pid;
        }
    }
}
