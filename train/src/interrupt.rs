//! Ending well when interrupted.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};

/// The exit code of a process that was interrupted.
pub const EXIT_CODE: i32 = 130;

/// A flag that Ctrl-C and requests to terminate set; the loop then finishes its step, saves and
/// ends. A second one ends the process at once: nothing is lost but the steps since the last
/// checkpoint.
///
/// # Errors
/// If this has been called before in this process.
pub fn flag() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    let handler = move || {
        if set.swap(true, Ordering::Relaxed) {
            process::exit(EXIT_CODE);
        }
    };
    ctrlc::set_handler(handler).map_err(|e| Error::new(format!("interrupts can't be handled: {e}")))?;
    Ok(flag)
}
