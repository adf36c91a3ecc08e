//! Operations on files that fail because a test wants it.
//!
//! `FGC_FAULT=fail:N` lets the N-th operation of the process that changes something on disk fail, once;
//! `FGC_FAULT=kill:N` ends the process there, as a crash would. Of a write half is done before.

use std::io::{self, Write};
use std::path::Path;
use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The variable of the environment that asks for a fault.
const VARIABLE: &str = "FGC_FAULT";
/// The exit code of a process that ends by a fault: that of one which is killed.
const KILLED: i32 = 137;

/// What happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Fail,
    Kill,
}

impl Kind {
    fn happen(self, what: &str) -> io::Error {
        if self == Kind::Kill {
            process::exit(KILLED);
        }
        io::Error::other(format!("the {what} fails, as {VARIABLE} asks"))
    }
}

/// What is to happen, at the operation of which number, from 1.
type Asked = Result<(Kind, u64), String>;

fn parse(text: &str) -> Asked {
    let parsed = text.split_once(':').and_then(|(kind, number)| {
        let kind = match kind {
            "fail" => Kind::Fail,
            "kill" => Kind::Kill,
            _ => return None,
        };
        Some((kind, number.parse().ok()?))
    });
    parsed.ok_or_else(|| format!("{VARIABLE} is `{text}`, not `fail:N` or `kill:N`"))
}

/// What happens at this operation, if anything does.
///
/// # Errors
/// If what is asked for can't be read: a test that injects nothing by mistake would pass.
fn due() -> io::Result<Option<Kind>> {
    static ASKED: OnceLock<Option<Asked>> = OnceLock::new();
    static DONE: AtomicU64 = AtomicU64::new(0);
    match ASKED.get_or_init(|| std::env::var(VARIABLE).ok().map(|text| parse(&text))) {
        None => Ok(None),
        Some(Ok((kind, number))) => {
            Ok((DONE.fetch_add(1, Ordering::Relaxed) + 1 == *number).then_some(*kind))
        }
        Some(Err(message)) => Err(io::Error::other(message.clone())),
    }
}

/// The place of an operation that changes something on disk: called before it, it fails if the operation is to fail.
pub(super) fn point(what: &str, path: &Path) -> io::Result<()> {
    match due()? {
        Some(kind) => Err(kind.happen(&format!("{what} at {}", path.display()))),
        None => Ok(()),
    }
}

/// Writes `bytes`, which are for `path`.
pub(super) fn write(to: &mut impl Write, bytes: &[u8], path: &Path) -> io::Result<()> {
    let Some(kind) = due()? else { return to.write_all(bytes) };
    to.write_all(&bytes[..bytes.len() / 2])?;
    Err(kind.happen(&format!("write at {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_said_exactly() {
        assert_eq!(parse("fail:3"), Ok((Kind::Fail, 3)));
        assert_eq!(parse("kill:12"), Ok((Kind::Kill, 12)));
        for wrong in ["fail", "fail:", "fail:x", "die:1", ""] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
