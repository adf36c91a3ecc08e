//! Spin-waiting: the threads of a pool look for work without pause while a program runs.
//!
//! A thread that finds nothing to do goes to sleep, and waking it takes longer than many kernels do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a thread looks for work in vain before it sleeps after all.
const PATIENCE: Duration = Duration::from_millis(5);

/// How often it looks before it lets other processes run.
const LOOKS: usize = 64;

/// Whether threads spin for a program. One at a time is enough, and two programs that had them spin could wait for
/// each other's threads.
static SPINNING: AtomicBool = AtomicBool::new(false);

/// Has the threads of a pool spin until it is dropped, as it also is when the program panics.
struct Spinning<'d> {
    done: &'d AtomicBool,
}

impl<'d> Spinning<'d> {
    /// `None` if threads spin for a program already.
    fn begin(done: &'d AtomicBool) -> Option<Spinning<'d>> {
        (!SPINNING.swap(true, Ordering::Acquire)).then_some(Spinning { done })
    }
}

impl Drop for Spinning<'_> {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Release);
        SPINNING.store(false, Ordering::Release);
    }
}

/// Runs `program` in the pool that this is called in, while the pool's other threads spin.
pub fn spinning<R: Send>(program: impl FnOnce() -> R + Send) -> R {
    if rayon::current_num_threads() == 1 {
        return program();
    }
    let done = AtomicBool::new(false);
    let Some(spinning) = Spinning::begin(&done) else { return program() };
    rayon::scope(|scope| {
        // Dropped before the scope waits for the threads.
        let _spinning = spinning;
        let own = rayon::current_thread_index();
        let done = &done;
        scope.spawn_broadcast(move |_, context| {
            if Some(context.index()) != own {
                look_for_work(done);
            }
        });
        program()
    })
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

    /// After a program that panics, threads spin for the next.
    #[test]
    fn a_panic_ends_the_spinning() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads");
        let fails = || pool.install(|| spinning(|| panic!("a kernel that fails")));
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(fails)).expect_err("the panic");
        // Other tests have programs of their own spin meanwhile, though none for long.
        let free = || pool.install(|| !SPINNING.load(Ordering::Acquire));
        let limit = Instant::now() + Duration::from_secs(60);
        while !free() {
            assert!(Instant::now() < limit, "threads spin for a program that is gone");
            std::thread::yield_now();
        }
    }

    /// Programs within programs and beside each other end, with their results.
    #[test]
    fn programs_end() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads");
        let sum = |n: u64| spinning(move || (0..n).into_par_iter().sum::<u64>());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for n in 1..200 {
                        assert_eq!(pool.install(|| sum(n)), n * (n - 1) / 2);
                        assert_eq!(pool.install(|| spinning(|| sum(n))), n * (n - 1) / 2);
                    }
                });
            }
        });
    }
}
