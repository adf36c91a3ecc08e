//! Goes on with a run while memory runs out: `starved N FOLDER` trains on in FOLDER on one thread, and the N-th allocation
//! of memory from there on fails, once. Prints how many there were if it gets to the end.
#![allow(unsafe_code, reason = "an allocator is unsafe to be one")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use fgc::Threads;
use fgc_train::{Result, Run, Training, report, training};

/// The system's allocator, but for one allocation.
struct Rationed;

/// How many allocations there were, and the number of the one that fails; none does at first.
static COUNT: AtomicU64 = AtomicU64::new(0);
static FAILS: AtomicU64 = AtomicU64::new(0);

// SAFETY: it is the system's allocator, which keeps to the contract; an allocation may fail at any time.
unsafe impl GlobalAlloc for Rationed {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let number = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
        if number == FAILS.load(Ordering::Relaxed) {
            return std::ptr::null_mut();
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises, it was allocated above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Rationed = Rationed;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [number, folder] = &args[..] else { return usage() };
    let Ok(number) = number.parse() else { return usage() };
    COUNT.store(0, Ordering::Relaxed);
    FAILS.store(number, Ordering::Relaxed);
    match go_on(Path::new(folder)) {
        Ok(()) => {
            println!("{}", COUNT.load(Ordering::Relaxed));
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: starved N FOLDER");
    ExitCode::from(2)
}

fn go_on(folder: &Path) -> Result<()> {
    let threads = Threads::new(Some(1))?;
    let mut run = Run::open(folder)?;
    let (settings, text) = (run.settings.clone(), run.model.clone());
    let data = training::read_data(&settings.data)?;
    let mut training = Training::new(&settings, &text, &data, &threads)?;
    training.train(&mut run, report::on_stderr(true).as_mut(), &AtomicBool::new(false))?;
    run.seal(true)
}
