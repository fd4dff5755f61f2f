//! The sizes of Fargate tasks, and the smallest that holds a job
//! (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html>).

use crate::project::Resources;

/// A size as task definitions have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// 1024 to a core.
    pub cpu: u32,
    pub memory_mib: u32,
}

/// Cores in 1024ths, and memory in MiB: from, to, by steps of.
const SIZES: [(u32, u32, u32, u32); 6] = [
    (512, 1024, 4096, 1024),
    (1024, 2048, 8192, 1024),
    (2048, 4096, 16384, 1024),
    (4096, 8192, 30720, 1024),
    (8192, 16384, 61440, 4096),
    (16384, 32768, 122_880, 8192),
];
/// The smallest has steps of its own.
const SMALLEST: (u32, [u32; 3]) = (256, [512, 1024, 2048]);
/// What the worker beside the program takes.
const WORKER_MIB: u64 = 64;

/// MiB that a task needs: those of the program, where it says so, and of the worker.
pub(super) fn needed_mib(of: &Resources) -> u64 {
    of.memory.map_or(0, |bytes| bytes.div_ceil(1 << 20) + WORKER_MIB)
}

/// The smallest size that holds these; `None` where none does.
pub fn size(of: &Resources) -> Option<Size> {
    if of.gpus > 0 {
        return None;
    }
    let cpu = u64::from(of.cpu_milli) * 1024 / 1000;
    // Where nothing is said, what the size has.
    let memory = needed_mib(of);
    if cpu <= u64::from(SMALLEST.0)
        && let Some(memory_mib) = SMALLEST.1.into_iter().find(|mib| u64::from(*mib) >= memory)
    {
        return Some(Size {
            cpu: SMALLEST.0,
            memory_mib,
        });
    }
    let fits = |(size, least, most, step): (u32, u32, u32, u32)| {
        let wanted = memory.max(u64::from(least)).div_ceil(u64::from(step)) * u64::from(step);
        (u64::from(size) >= cpu && wanted <= u64::from(most)).then_some(Size {
            cpu: size,
            memory_mib: wanted as u32,
        })
    };
    SIZES.into_iter().find_map(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cpu_milli: u32, memory_mib: u64) -> Option<(u32, u32)> {
        let memory = (memory_mib > 0).then_some(memory_mib << 20);
        let size = size(&Resources {
            cpu_milli,
            memory,
            gpus: 0,
        });
        size.map(|size| (size.cpu, size.memory_mib))
    }

    #[test]
    fn the_smallest_that_holds_a_job() {
        assert_eq!(of(250, 0), Some((256, 512)));
        assert_eq!(of(250, 448), Some((256, 512)));
        assert_eq!(of(250, 512), Some((256, 1024)), "the worker needs some, too");
        assert_eq!(of(1000, 512), Some((1024, 2048)));
        assert_eq!(of(250, 5000), Some((1024, 5120)), "memory alone may ask for more cores");
        assert_eq!(of(4000, 16 << 10), Some((4096, 17408)));
        assert_eq!(of(8000, 16 << 10), Some((8192, 20480)));
        assert_eq!(of(16_000, 119 << 10), Some((16384, 122_880)));
        assert_eq!((of(16_001, 0), of(1000, 120 << 10)), (None, None));
    }
}
