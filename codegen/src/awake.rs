//! Keeping the threads of a pool awake while a program runs.
//!
//! A thread that finds nothing to do goes to sleep, and waking it takes longer than many kernels
//! do. So as long as a program runs, the other threads look for work without pause.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a thread looks for work in vain before it sleeps after all.
const PATIENCE: Duration = Duration::from_millis(5);

/// How often it looks before it lets other processes run.
const LOOKS: usize = 64;

/// Whether threads are kept awake. Once is enough, and two programs that did it could wait for
/// each other's threads.
static AWAKE: AtomicBool = AtomicBool::new(false);

/// Runs `program` in the pool that this is called in, its other threads awake.
pub fn during<R: Send>(program: impl FnOnce() -> R + Send) -> R {
    if rayon::current_num_threads() == 1 || AWAKE.swap(true, Ordering::Acquire) {
        return program();
    }
    let done = AtomicBool::new(false);
    let result = rayon::scope(|scope| {
        let own = rayon::current_thread_index();
        let done = &done;
        scope.spawn_broadcast(move |_, context| {
            if Some(context.index()) != own {
                look_for_work(done);
            }
        });
        let result = program();
        done.store(true, Ordering::Release);
        result
    });
    AWAKE.store(false, Ordering::Release);
    result
}

fn look_for_work(done: &AtomicBool) {
    let mut idle = Instant::now();
    loop {
        for _ in 0..LOOKS {
            if done.load(Ordering::Acquire) {
                return;
            }
            match rayon::yield_now() {
                Some(rayon::Yield::Executed) => idle = Instant::now(),
                _ => std::hint::spin_loop(),
            }
        }
        // The program's own thread may be waiting for this CPU.
        std::thread::yield_now();
        if idle.elapsed() > PATIENCE {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

    /// Programs within programs and beside each other end, with their results.
    #[test]
    fn programs_end() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads");
        let sum = |n: u64| during(move || (0..n).into_par_iter().sum::<u64>());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for n in 1..200 {
                        assert_eq!(pool.install(|| sum(n)), n * (n - 1) / 2);
                        assert_eq!(pool.install(|| during(|| sum(n))), n * (n - 1) / 2);
                    }
                });
            }
        });
    }
}
