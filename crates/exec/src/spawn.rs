//! Making a process: clone(2) sharing the memory until execve, as glibc's `posix_spawn` does it, with what `posix_spawn`
//! cannot do in the child: the parent-death signal and the cgroup. No page table is copied, so it costs the same however
//! large the keeper is.
//!
//! The child runs on a stack of its own while the calling thread waits in the kernel; both share memory and thread-local
//! storage. So the child makes system calls and nothing else, and tells what failed by writing it where the parent looks.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};
use rustix::process::Pid;

use crate::image::Vectors;

const STACK_BYTES: usize = 64 * 1024;
/// Large enough for the pages of every machine that Linux runs on; on most it is 4 KiB.
const GUARD_BYTES: usize = 64 * 1024;

/// What a process is made from.
pub struct Plan<'a> {
    /// For execve; relative to `workdir` unless absolute.
    pub program: &'a CStr,
    pub vectors: Vectors<'a>,
    pub workdir: &'a CStr,
    pub stdin: BorrowedFd<'a>,
    /// Standard output and standard error.
    pub output: BorrowedFd<'a>,
    /// An open `cgroup.procs`, into which the process writes itself.
    pub cgroup: Option<BorrowedFd<'a>>,
}

/// A process that was made and runs its program.
#[derive(Debug)]
pub struct Child {
    pub pid: Pid,
    /// Readable once it has ended, all its threads included.
    pub pidfd: OwnedFd,
}

/// Which of the steps failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpawnError {
    /// For want of processes, memory or descriptors: nothing is wrong with the plan.
    #[error("no process can be made: {0}")]
    Process(Errno),
    #[error("it cannot enter its cgroup: {0}")]
    Cgroup(Errno),
    #[error("it cannot enter its folder: {0}")]
    Workdir(Errno),
    #[error("it cannot be executed: {0}")]
    Exec(Errno),
    /// A step that does not fail on any Linux we know.
    #[error("it cannot be set up: {0}")]
    Setup(Errno),
}

/// Makes processes, one at a time. The thread that owns it must outlive them, since its end is their death signal, and
/// must have all signals blocked, so that none is handled in memory that is shared with a child.
#[derive(Debug)]
pub struct Spawner {
    stack: *mut c_void,
    parent: Pid,
    /// Signals that this process ignores: alone of all dispositions these survive execve.
    ignored: Vec<c_int>,
}

// SAFETY: the stack is owned and used by nothing but `spawn`, which takes `&mut self`.
unsafe impl Send for Spawner {}

impl Spawner {
    pub fn new() -> Result<Spawner, Errno> {
        let (prot, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE | MapFlags::STACK);
        // SAFETY: an anonymous mapping at an address of the kernel's choice touches no other memory; its lowest pages
        // are then made inaccessible, so that an overflow faults.
        let stack = unsafe {
            let stack = rustix::mm::mmap_anonymous(ptr::null_mut(), GUARD_BYTES + STACK_BYTES, prot, flags)?;
            rustix::mm::mprotect(stack, GUARD_BYTES, MprotectFlags::empty())?;
            stack
        };
        Ok(Spawner {
            stack,
            parent: rustix::process::getpid(),
            ignored: ignored_signals(),
        })
    }

    pub fn spawn(&mut self, plan: &Plan<'_>) -> Result<Child, SpawnError> {
        let mut task = Task {
            parent: self.parent.as_raw_nonzero().get(),
            stdin: plan.stdin.as_raw_fd(),
            output: plan.output.as_raw_fd(),
            cgroup: plan.cgroup.map_or(-1, |file| file.as_raw_fd()),
            workdir: plan.workdir.as_ptr(),
            program: plan.program.as_ptr(),
            argv: plan.vectors.argv,
            envp: plan.vectors.envp,
            ignored: self.ignored.as_ptr(),
            ignored_count: self.ignored.len(),
            step: Step::None,
            errno: 0,
        };
        let mut pidfd: RawFd = -1;
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
        // SAFETY: with CLONE_VFORK this thread stands still until the child has called execve or _exit, so `task`, the
        // strings it points to and the stack outlive their use; the stack grows down from the aligned end handed over
        // here; `run_child` only makes system calls.
        let pid = unsafe {
            let top = self.stack.byte_add(GUARD_BYTES + STACK_BYTES);
            libc::clone(run_child, top, flags, (&raw mut task).cast::<c_void>(), &raw mut pidfd)
        };
        if pid < 0 {
            return Err(SpawnError::Process(last_errno()));
        }
        let pid = Pid::from_raw(pid).expect("clone answers a positive number");
        // SAFETY: the kernel has just opened it for us, close-on-exec.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        // SAFETY: the child wrote through a raw pointer, which the compiler need not know of.
        let (step, errno) = unsafe {
            (
                (&raw const task.step).read_volatile(),
                (&raw const task.errno).read_volatile(),
            )
        };
        if step == Step::None {
            return Ok(Child { pid, pidfd });
        }
        reap(pid);
        let errno = Errno::from_raw_os_error(errno);
        Err(match step {
            Step::None | Step::Setup => SpawnError::Setup(errno),
            Step::Cgroup => SpawnError::Cgroup(errno),
            Step::Workdir => SpawnError::Workdir(errno),
            Step::Exec => SpawnError::Exec(errno),
        })
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this size, and no child uses it any more.
        let unmapped = unsafe { rustix::mm::munmap(self.stack, GUARD_BYTES + STACK_BYTES) };
        debug_assert!(unmapped.is_ok());
    }
}

/// Blocks every signal in the calling thread.
pub(crate) fn block_signals() {
    // SAFETY: plain calls on a set of our own.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, ptr::null_mut());
    }
}

/// What the child knows, and where it says what failed.
struct Task {
    parent: libc::pid_t,
    stdin: RawFd,
    output: RawFd,
    cgroup: RawFd,
    workdir: *const c_char,
    program: *const c_char,
    argv: *const *const c_char,
    envp: *const *const c_char,
    ignored: *const c_int,
    ignored_count: usize,
    step: Step,
    errno: c_int,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    None,
    Setup,
    Cgroup,
    Workdir,
    Exec,
}

/// The child until execve. Returns only on failure; libc's clone then ends the process with what it answers.
extern "C" fn run_child(task: *mut c_void) -> c_int {
    let task = task.cast::<Task>();
    // SAFETY: the parent stands still and keeps `task` alive; everything here is a system call on what the task holds,
    // and the places written to are the task's own.
    unsafe {
        let task = &mut *task;
        let fail = |task: &mut Task, step: Step| {
            task.errno = *libc::__errno_location();
            task.step = step;
            127
        };
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::getppid() != task.parent {
            // The keeper died before the signal was asked for; the guard is about to end whatever is left.
            libc::_exit(127);
        }
        if libc::setpgid(0, 0) != 0 {
            return fail(task, Step::Setup);
        }
        let default = KernelAction::default();
        for place in 0..task.ignored_count {
            rt_sigaction(*task.ignored.add(place), &raw const default, ptr::null_mut());
        }
        if task.cgroup >= 0 && libc::write(task.cgroup, c"0".as_ptr().cast(), 1) != 1 {
            return fail(task, Step::Cgroup);
        }
        if libc::dup2(task.stdin, 0) < 0 || libc::dup2(task.output, 1) < 0 || libc::dup2(task.output, 2) < 0 {
            return fail(task, Step::Setup);
        }
        if libc::chdir(task.workdir) != 0 {
            return fail(task, Step::Workdir);
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
        libc::execve(task.program, task.argv, task.envp);
        fail(task, Step::Exec)
    }
}

fn ignored_signals() -> Vec<c_int> {
    (1..=64)
        .filter(|signal| {
            let mut current = KernelAction::default();
            // SAFETY: asks for a disposition and changes none.
            unsafe { rt_sigaction(*signal, ptr::null(), &raw mut current) == 0 && current.handler == libc::SIG_IGN }
        })
        .collect()
}

/// The kernel's `struct sigaction`, of which only the first field is of interest; the rest has room enough for the
/// flags, the restorer and the mask of all machines we run on.
#[repr(C)]
#[derive(Default)]
struct KernelAction {
    handler: libc::sighandler_t,
    rest: [u64; 7],
}

/// The system call itself: libc keeps two signals to itself, which others may have handed to us ignored.
unsafe fn rt_sigaction(signal: c_int, new: *const KernelAction, old: *mut KernelAction) -> libc::c_long {
    const MASK_BYTES: usize = 8;
    // SAFETY: the caller's pointers are null or point to as much as the kernel reads and writes.
    unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, new, old, MASK_BYTES) }
}

fn reap(pid: Pid) {
    let pid = Some(pid);
    while let Err(Errno::INTR) = rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()) {}
}

fn last_errno() -> Errno {
    Errno::from_raw_os_error(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}
