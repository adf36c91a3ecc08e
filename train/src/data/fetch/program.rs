//! Programs that are run to their end, and that end with this process.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fgc_ir::files::Lock;

use crate::hash::MAX_FILE;
use fgc::Error;

/// A program that didn't do what it was for.
pub struct Failed {
    /// What went wrong.
    pub message: String,
    /// Whether trying again is of no use.
    pub for_good: bool,
}

impl Failed {
    /// It as an error.
    pub fn error(self) -> Error {
        Error::new(self.message)
    }
}

/// What a program may do: it may write more than anyone wants, or never end.
#[derive(Clone, Copy)]
pub struct Limits<'a> {
    /// The folder that it writes in, of which it may fill [`MAX_FILE`] bytes.
    pub work: &'a Path,
    /// How long it may take.
    pub longest: Duration,
}

/// How much of what a program says is kept: the last bytes, where the reason of a failure is.
const KEPT: usize = 1 << 14;
/// The most bytes that a program says.
const MAX_SAID: u64 = 1 << 24;
/// How often it is looked whether a program has ended.
const EVERY: Duration = Duration::from_millis(20);

/// Runs a program to its end, or ends it where it does more than it may. What it says is heard only if it fails.
///
/// The program, and what it starts, is killed when this process ends before it, however that happens; until then it
/// holds `lock` too.
pub fn run(command: &mut Command, limits: Limits, lock: &Lock) -> Result<(), Failed> {
    let name = command.get_program().to_string_lossy().into_owned();
    let line: Vec<String> = command.get_args().map(OsStr::to_string_lossy).map(Into::into).collect();
    let line = format!("`{name} {}`", line.join(" "));
    let ended = ended(command, limits, lock).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Failed {
            message: format!("the program `{name}`, which fetches this set, isn't there"),
            for_good: true,
        },
        _ => Failed { message: format!("the program `{name}` can't be run: {e}"), for_good: true },
    })?;
    match ended {
        Ended::Early(why) => Err(Failed { message: format!("{line} was ended: {why}"), for_good: true }),
        Ended::Itself(status, _) if status.success() => Ok(()),
        Ended::Itself(status, said) => {
            Err(Failed { message: format!("{line} failed ({status}):\n{said}"), for_good: false })
        }
    }
}

/// How a program ended.
enum Ended {
    /// By itself: how, and what it said last.
    Itself(ExitStatus, String),
    /// It was killed: why.
    Early(String),
}

/// Runs `command` in a group of processes that doesn't outlive this one.
fn ended(command: &mut Command, limits: Limits, lock: &Lock) -> io::Result<Ended> {
    let group = Group::new()?;
    // The lock file is empty, so that there is nothing to read.
    command.stdin(lock.share()?).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = group.joined_by(command).spawn()?;
    let count = Arc::new(AtomicU64::new(0));
    let heard = |source: Option<Box<dyn Read + Send>>| {
        let count = Arc::clone(&count);
        thread::spawn(move || source.map_or_else(Vec::new, |source| last(source, &count)))
    };
    let out = heard(child.stdout.take().map(|out| Box::new(out) as _));
    let err = heard(child.stderr.take().map(|err| Box::new(err) as _));
    let start = Instant::now();
    let status = loop {
        let ended = child.try_wait()?;
        // It may have ended because nobody listened any more.
        let why = if count.load(Ordering::Relaxed) > MAX_SAID {
            format!("it printed more than {MAX_SAID} bytes")
        } else if let Some(status) = ended {
            break status;
        } else if let Some(size) = Some(size(limits.work)).filter(|size| *size > MAX_FILE) {
            format!("it wrote {size} bytes; a download has at most {MAX_FILE}")
        } else if start.elapsed() > limits.longest {
            format!("it took more than {} s", limits.longest.as_secs())
        } else {
            thread::sleep(EVERY);
            continue;
        };
        // With all that it has started.
        drop(group);
        child.kill()?;
        child.wait()?;
        return Ok(Ended::Early(why));
    };
    let said = [err, out].map(|thread| thread.join().unwrap_or_default());
    let said = said.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
    let said = said.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
    Ok(Ended::Itself(status, said))
}

/// The last [`KEPT`] bytes of `source`, which is read to its end; `count` is how many have come.
fn last(mut source: impl Read, count: &AtomicU64) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = vec![0; KEPT];
    while let Ok(n @ 1..) = source.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..n]);
        kept.drain(..kept.len().saturating_sub(KEPT));
        if count.fetch_add(n as u64, Ordering::Relaxed) > MAX_SAID {
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

/// A group of processes that ends with this value, or with this process.
///
/// Its leader is a shell that waits for the end of a pipe and then kills the group, itself included. This process has
/// the only other end of the pipe, and the system closes that whatever this process dies of. (That a process gets a
/// signal when its parent dies can be had on Linux alone, and is of no use against what the process has started.)
struct Group {
    leader: Child,
    /// Taken when the group is to end.
    pipe: Option<ChildStdin>,
}

impl Group {
    fn new() -> io::Result<Group> {
        let mut command = Command::new("sh");
        command.args(["-c", "read -r _; kill -KILL 0"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let failed = |e| io::Error::other(format!("`sh`, which ends it with this process, can't be: {e}"));
        let mut leader = command.spawn().map_err(failed)?;
        let pipe = leader.stdin.take();
        Ok(Group { leader, pipe })
    }

    /// `command`, to be started in the group.
    fn joined_by<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, self.leader.id() as i32);
        command
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.leader.wait();
    }
}
