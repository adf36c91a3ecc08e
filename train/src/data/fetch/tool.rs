//! Running the programs that fetch and unpack, which may write more than anyone wants, or never end.

use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::super::hash::LARGEST;
use super::Failed;

/// How much of what a program says is kept: the last bytes, where the reason of a failure is.
const KEPT: usize = 1 << 14;
/// The most bytes that a program says.
const MOST_SAID: u64 = 1 << 24;
/// How often it is looked whether a program has ended.
const EVERY: Duration = Duration::from_millis(20);

/// Runs a program to its end, in the folder `work`, in which it may write. What it says is heard only if it fails.
pub fn run(command: &mut Command, work: &Path, longest: Duration) -> Result<(), Failed> {
    let name = command.get_program().to_string_lossy().into_owned();
    let line: Vec<String> = command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let line = format!("`{name} {}`", line.join(" "));
    let cant =
        |e: io::Error| Failed { message: format!("the program `{name}` can't be run: {e}"), for_good: true };
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Failed {
            message: format!("the program `{name}`, which fetches this set, isn't there"),
            for_good: true,
        },
        _ => cant(e),
    })?;
    let count = Arc::new(AtomicU64::new(0));
    let heard = |source: Option<Box<dyn Read + Send>>| {
        let count = Arc::clone(&count);
        thread::spawn(move || source.map_or_else(Vec::new, |source| last(source, &count)))
    };
    let out = heard(child.stdout.take().map(|out| Box::new(out) as _));
    let err = heard(child.stderr.take().map(|err| Box::new(err) as _));
    let status = match watched(&mut child, work, &count, longest) {
        Ok(Ok(status)) => status,
        // What it has started may still write: that isn't waited for.
        Ok(Err(why)) => return Err(Failed { message: format!("{line} was ended: {why}"), for_good: true }),
        Err(e) => return Err(cant(e)),
    };
    let said = [err, out].map(|thread| thread.join().unwrap_or_default());
    if status.success() {
        return Ok(());
    }
    let said = said.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
    let said = said.iter().find(|text| !text.is_empty()).map_or("", String::as_str);
    Err(Failed { message: format!("{line} failed ({status}):\n{said}"), for_good: false })
}

/// Waits until `child` ends, or ends it where it does more than it may, which is said.
fn watched(
    child: &mut Child,
    work: &Path,
    said: &AtomicU64,
    longest: Duration,
) -> io::Result<Result<ExitStatus, String>> {
    let start = Instant::now();
    loop {
        let ended = child.try_wait()?;
        // It may have ended because nobody listened any more.
        let why = if said.load(Ordering::Relaxed) > MOST_SAID {
            format!("it printed more than {MOST_SAID} bytes")
        } else if let Some(status) = ended {
            return Ok(Ok(status));
        } else if let Some(size) = Some(size(work)).filter(|size| *size > LARGEST) {
            format!("it wrote {size} bytes; a download has at most {LARGEST}")
        } else if start.elapsed() > longest {
            format!("it took more than {} s", longest.as_secs())
        } else {
            thread::sleep(EVERY);
            continue;
        };
        child.kill()?;
        child.wait()?;
        return Ok(Err(why));
    }
}

/// The last [`KEPT`] bytes of `source`, which is read to its end; `count` is how many have come.
fn last(mut source: impl Read, count: &AtomicU64) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = vec![0; KEPT];
    while let Ok(n @ 1..) = source.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..n]);
        kept.drain(..kept.len().saturating_sub(KEPT));
        if count.fetch_add(n as u64, Ordering::Relaxed) > MOST_SAID {
            break;
        }
    }
    kept
}

/// The bytes of the files in `folder`, and of those in its folders.
fn size(folder: &Path) -> u64 {
    let Ok(entries) = folder.read_dir() else { return 0 };
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => size(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    };
    entries.flatten().map(of).fold(0, u64::saturating_add)
}
