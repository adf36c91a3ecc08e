//! Programs that are run to their end, and that end with this process.

use std::ffi::OsStr;
use std::io;
use std::process::{Child, ChildStdin, Command, Output, Stdio};

use fgc_ir::files::Lock;

use crate::error::Error;

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

/// Runs a program to its end. What it says is heard only if it fails.
///
/// The program, and what it starts, is killed when this process ends before it, however that happens; until then it
/// holds `lock` too.
pub fn run(command: &mut Command, lock: &Lock) -> Result<(), Failed> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = output(command, lock).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Failed {
            message: format!("the program `{name}`, which fetches this set, isn't there"),
            for_good: true,
        },
        _ => Failed { message: format!("the program `{name}` can't be run: {e}"), for_good: true },
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = if said.trim().is_empty() { String::from_utf8_lossy(&output.stdout) } else { said };
    let line: Vec<String> = command.get_args().map(OsStr::to_string_lossy).map(Into::into).collect();
    let message = format!("`{name} {}` failed ({}):\n{}", line.join(" "), output.status, said.trim());
    Err(Failed { message, for_good: false })
}

/// Runs `command` in a group of processes that doesn't outlive this one.
fn output(command: &mut Command, lock: &Lock) -> io::Result<Output> {
    let group = Group::new()?;
    // The lock file is empty, so that there is nothing to read.
    command.stdin(lock.share()?).stdout(Stdio::piped()).stderr(Stdio::piped());
    group.joined_by(command).spawn()?.wait_with_output()
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
