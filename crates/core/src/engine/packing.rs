//! What of this machine is taken: CPU, memory, GPUs. Strictly in order: when the next task does not fit, nothing behind
//! it starts, so a big task never starves behind small ones.

use crate::project::Resources;

/// What there is to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    pub cpu_milli: u32,
    /// Bytes.
    pub memory: u64,
    pub gpus: u32,
}

/// What is given away at the moment.
#[derive(Clone, Debug)]
pub struct Packing {
    capacity: Capacity,
    cpu_milli: u32,
    memory: u64,
    /// Which GPUs are free, the lowest taken first.
    free_gpus: Vec<u32>,
}

impl Packing {
    pub fn new(capacity: Capacity) -> Packing {
        Packing {
            capacity,
            cpu_milli: 0,
            memory: 0,
            free_gpus: (0..capacity.gpus).rev().collect(),
        }
    }

    /// What there is in all.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// The share of the scarcest resource that one of these takes: its dominant share (A. Ghodsi et al., "Dominant Resource Fairness",
    /// NSDI 2011).
    pub fn share(&self, of: Resources) -> f64 {
        let share = |wanted: f64, all: f64| wanted / all.max(1.0);
        let cpu = share(f64::from(of.cpu_milli), f64::from(self.capacity.cpu_milli));
        let memory = share(of.memory.unwrap_or(0) as f64, self.capacity.memory as f64);
        let gpus = share(f64::from(of.gpus), f64::from(self.capacity.gpus));
        cpu.max(memory).max(gpus)
    }

    /// How many more of these fit now.
    pub fn room(&self, wanted: Resources) -> u32 {
        let cpu =
            u64::from(self.capacity.cpu_milli.saturating_sub(self.cpu_milli)) / u64::from(wanted.cpu_milli.max(1));
        let memory = match wanted.memory {
            Some(bytes) if bytes > 0 => self.capacity.memory.saturating_sub(self.memory) / bytes,
            _ => u64::MAX,
        };
        let gpus = match wanted.gpus {
            0 => u64::MAX,
            gpus => self.free_gpus.len() as u64 / u64::from(gpus),
        };
        // What can never fit, runs alone: refusing it is the checker's business, hanging would be nobody's.
        let idle = self.cpu_milli == 0 && self.memory == 0 && self.free_gpus.len() as u32 == self.capacity.gpus;
        let room = cpu.min(memory).min(gpus);
        u32::try_from(room).unwrap_or(u32::MAX).max(u32::from(idle))
    }

    /// Takes room for one; the GPUs it may use.
    pub fn take(&mut self, wanted: Resources) -> Vec<u32> {
        self.cpu_milli += wanted.cpu_milli;
        self.memory += wanted.memory.unwrap_or(0);
        let keep = self.free_gpus.len().saturating_sub(wanted.gpus as usize);
        let mut gpus = self.free_gpus.split_off(keep);
        gpus.reverse();
        gpus
    }

    pub fn give_back(&mut self, taken: Resources, gpus: &[u32]) {
        self.cpu_milli = self.cpu_milli.saturating_sub(taken.cpu_milli);
        self.memory = self.memory.saturating_sub(taken.memory.unwrap_or(0));
        self.free_gpus.extend_from_slice(gpus);
        self.free_gpus.sort_unstable_by(|a, b| b.cmp(a));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn the_scarcest_resource_decides() {
        let mut packing = Packing::new(Capacity {
            cpu_milli: 4000,
            memory: 8 * GIB,
            gpus: 3,
        });
        let wanted = Resources {
            cpu_milli: 500,
            memory: Some(3 * GIB),
            gpus: 0,
        };
        assert_eq!(packing.room(wanted), 2);
        packing.take(wanted);
        assert_eq!(
            packing.room(Resources {
                cpu_milli: 500,
                memory: None,
                gpus: 0
            }),
            7
        );
        assert_eq!(
            packing.room(Resources {
                cpu_milli: 500,
                memory: None,
                gpus: 2
            }),
            1
        );
        packing.give_back(wanted, &[]);
        assert_eq!(packing.room(wanted), 2);
    }

    #[test]
    fn gpus_are_handed_out_once() {
        let mut packing = Packing::new(Capacity {
            cpu_milli: 4000,
            memory: GIB,
            gpus: 2,
        });
        let wanted = Resources {
            cpu_milli: 1000,
            memory: None,
            gpus: 1,
        };
        assert_eq!(packing.take(wanted), [0]);
        assert_eq!(packing.take(wanted), [1]);
        assert_eq!(packing.room(wanted), 0);
        packing.give_back(wanted, &[0]);
        assert_eq!(packing.take(wanted), [0]);
    }

    #[test]
    fn the_dominant_share_is_that_of_the_scarcest() {
        let packing = Packing::new(Capacity {
            cpu_milli: 4000,
            memory: 8 * GIB,
            gpus: 0,
        });
        let share = |memory| {
            packing.share(Resources {
                cpu_milli: 1000,
                memory: Some(memory),
                gpus: 0,
            })
        };
        assert_eq!((share(GIB), share(4 * GIB)), (0.25, 0.5));
    }

    #[test]
    fn what_never_fits_runs_alone() {
        let mut packing = Packing::new(Capacity {
            cpu_milli: 1000,
            memory: GIB,
            gpus: 0,
        });
        let huge = Resources {
            cpu_milli: 64_000,
            memory: Some(64 * GIB),
            gpus: 0,
        };
        assert_eq!(packing.room(huge), 1);
        packing.take(huge);
        assert_eq!(packing.room(huge), 0);
    }
}
