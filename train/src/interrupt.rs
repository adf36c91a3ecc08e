//! Ending well when interrupted.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use fgc::{Error, Result};

/// The exit code of a process that was interrupted.
pub const EXIT_CODE: i32 = 130;

/// The signals that ask a process to end: Ctrl-C, `kill`, and the end of the terminal.
#[cfg(unix)]
const SIGNALS: [i32; 3] = [SIGINT, SIGTERM, signal_hook::consts::SIGHUP];
#[cfg(not(unix))]
const SIGNALS: [i32; 2] = [SIGINT, SIGTERM];

/// A flag that Ctrl-C and requests to terminate set; the loop then finishes its step, saves and
/// ends. A second one ends the process at once: nothing is lost but the steps since the last
/// checkpoint.
///
/// A signal that the process was told to ignore when it began, as by `nohup` or by a shell that runs it in the
/// background, stays ignored.
///
/// # Errors
/// If the system doesn't let signals be handled.
pub fn flag() -> Result<Arc<AtomicBool>> {
    let set = Arc::new(AtomicBool::new(false));
    let ignored = ignored();
    for signal in SIGNALS.into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0) {
        // In this order: the first signal finds the flag unset, and the process goes on.
        let ends = flag::register_conditional_shutdown(signal, EXIT_CODE, Arc::clone(&set));
        ends.and_then(|_| flag::register(signal, Arc::clone(&set)))
            .map_err(|e| Error::new(format!("signal {signal} can't be handled: {e}")))?;
    }
    Ok(set)
}

/// The signals that this process ignores, a bit for each, from that of signal 1. Where the system doesn't say, none.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
