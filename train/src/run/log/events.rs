//! Metrics as TensorBoard reads them: files of records (TFRecord), each an `Event` in the form of Protocol Buffers.
//!
//! A record is its length (8 bytes), the masked CRC-32C of these, the event, and its masked CRC-32C, all little-endian
//! (`tensorflow/core/lib/io/record_writer.h`). Of an `Event` (`tensorflow/core/util/event.proto`) there are `wall_time = 1`,
//! `step = 2`, `file_version = 3`, `summary = 5` and `session_log = 7`; of a `Summary` `value = 1`, and of a value `tag = 1`
//! and `simple_value = 2`. A test compares what is written with what TensorBoard's own reader has read.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use fgc_ir::files::Appended;
use serde_json::Value;

use super::{STEP, parts, step};
use fgc::{Error, Result};

/// What the names of event files begin with; then come the seconds of the time at which they begin, in whose order they are
/// read, and their writer.
const PREFIX: &str = "events.out.tfevents.";

/// What the first event of a file has to say.
const VERSION: &str = "brain.Event:2";

/// Whether `name` is that of an event file.
pub fn is_events(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// Event files of a run: one for each time that it was begun or gone on with. With the first event behind its version, a
/// file says from which step on it stands for what earlier files have.
#[derive(Debug)]
pub struct Events {
    folder: PathBuf,
    /// Made with the first line.
    file: Option<Appended>,
    /// The steps that were done before.
    begun: u64,
}

impl Events {
    /// A file in `folder`, which is made with its first line.
    pub fn new(folder: &Path) -> Events {
        Events { folder: folder.to_owned(), file: None, begun: 0 }
    }

    /// Takes a line that earlier files have.
    pub fn past(&mut self, record: &Value) {
        self.begun = step(record);
    }

    /// Writes the metrics of a line.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn add(&mut self, record: &Value) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut bytes = Vec::new();
        if self.file.is_none() {
            let path = self.unused(now.as_secs())?;
            self.file = Some(Appended::open(&path).map_err(|e| Error::file(&path, e))?);
            bytes = head(now.as_secs_f64(), self.begun);
        }
        bytes.extend(line(now.as_secs_f64(), record));
        let Some(file) = &mut self.file else { unreachable!("it was opened just now") };
        file.append(&bytes).map_err(|e| Error::file(file.path(), e))
    }

    /// The path of a new file, behind those that are there in the order of their names.
    fn unused(&self, now: u64) -> Result<PathBuf> {
        let fail = |e| Error::file(&self.folder, e);
        let mut begins = now;
        for entry in fs::read_dir(&self.folder).map_err(fail)? {
            let name = entry.map_err(fail)?.file_name();
            let seconds =
                name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('.').next()?.parse().ok());
            begins = seconds.map_or(begins, |seconds: u64| begins.max(seconds.saturating_add(1)));
        }
        Ok(self.folder.join(format!("{PREFIX}{begins:010}.fgc")))
    }
}

/// What a file begins with, after `begun` steps at the time `seconds` since 1970.
fn head(seconds: f64, begun: u64) -> Vec<u8> {
    let mut version = event(seconds, 0);
    text(&mut version, 3, VERSION.as_bytes());
    // A session that starts (status 1) at a step: later steps of earlier files don't count.
    let mut started = event(seconds, begun + 1);
    text(&mut started, 7, &[0x08, 1]);
    [record(&version), record(&started)].concat()
}

/// The events of a line of metrics.
fn line(seconds: f64, of: &Value) -> Vec<u8> {
    let mut summary = Vec::new();
    let mut add = |tag: &str, x: f64| {
        let mut value = Vec::new();
        text(&mut value, 1, tag.as_bytes());
        value.push(2 << 3 | FIXED_32);
        value.extend((x as f32).to_le_bytes());
        text(&mut summary, 1, &value);
    };
    for (part, metrics) in parts(of) {
        metrics.iter().for_each(|(name, x)| add(&format!("{name}/{part}"), *x));
    }
    for (key, tag) in [("lr", format!("lr/{STEP}")), ("seconds", "seconds/epoch".to_owned())] {
        of[key].as_f64().into_iter().for_each(|x| add(&tag, x));
    }
    let mut event = event(seconds, step(of));
    text(&mut event, 5, &summary);
    record(&event)
}

/// Wire types of Protocol Buffers.
const VARINT: u8 = 0;
const FIXED_64: u8 = 1;
const DELIMITED: u8 = 2;
const FIXED_32: u8 = 5;

/// An event at a step, of which nothing else is said.
fn event(seconds: f64, step: u64) -> Vec<u8> {
    let mut event = vec![1 << 3 | FIXED_64];
    event.extend(seconds.to_le_bytes());
    event.push(2 << 3 | VARINT);
    varint(&mut event, step);
    event
}

/// Adds a field of bytes to a message.
fn text(message: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    message.push(field << 3 | DELIMITED);
    varint(message, bytes.len() as u64);
    message.extend(bytes);
}

/// Adds a number, seven bits a byte from the lowest.
fn varint(message: &mut Vec<u8>, mut x: u64) {
    while x >= 0x80 {
        message.push(x as u8 | 0x80);
        x >>= 7;
    }
    message.push(x as u8);
}

/// `event` as a record.
fn record(event: &[u8]) -> Vec<u8> {
    let length = (event.len() as u64).to_le_bytes();
    let (of_length, of_event) = (masked(&length).to_le_bytes(), masked(event).to_le_bytes());
    [&length[..], &of_length, event, &of_event].concat()
}

/// The CRC-32C of `bytes`, turned and shifted so that a CRC of CRCs says something.
fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What `events.py` has read with TensorBoard's reader; of two files of a run that was cut off at step 2.
    const READ: &str = include_str!("../../../fixtures/events.json");
    const FILES: [&[u8]; 2] = [
        include_bytes!("../../../fixtures/events.out.tfevents.0000000001.fgc"),
        include_bytes!("../../../fixtures/events.out.tfevents.0000000002.fgc"),
    ];

    fn written() -> [Vec<u8>; 2] {
        let epoch = json!({"step": 3, "epoch": 1, "train": {"loss": 2.0, "accuracy": 0.5, "norm": 3.0},
                           "test": {"loss": 1.5, "accuracy": 0.25}, "seconds": 0.5});
        let step = |k: u64, loss: f64| json!({"step": k, "epoch": 1, "loss": loss, "lr": 0.1});
        let diverged = json!({"step": 1000, "epoch": 2, "loss": null, "lr": 0.05, "diverged": true});
        let first = [step(1, 2.5), step(2, 2.25), step(3, 9.0)];
        let second = [step(3, 2.0), epoch, diverged];
        let file = |seconds: f64, begun: u64, lines: &[Value]| {
            let lines = lines.iter().zip(1..).flat_map(|(of, k)| line(seconds + k as f64, of));
            head(seconds, begun).into_iter().chain(lines).collect()
        };
        let mut cut: Vec<u8> = file(1.0, 0, &first);
        cut.extend(&record(b"half written")[..15]);
        [cut, file(100.0, 2, &second)]
    }

    #[test]
    fn events_are_what_tensorboard_has_read() {
        if let Some(folder) = std::env::var_os("FGC_EVENTS") {
            for (k, bytes) in written().iter().enumerate() {
                fs::write(Path::new(&folder).join(format!("{PREFIX}{:010}.fgc", k + 1)), bytes).unwrap();
            }
            return;
        }
        assert!(written().iter().zip(FILES).all(|(written, file)| written == file));
        let read: Value = serde_json::from_str(READ).unwrap();
        let scalars = |tag: &str| read[tag].clone();
        assert_eq!(scalars("loss/step"), json!([[1, 2.5], [2, 2.25], [3, 2.0], [1000, "nan"]]));
        assert_eq!(scalars("accuracy/test"), json!([[3, 0.25]]));
        assert_eq!(scalars("norm/train"), json!([[3, 3.0]]));
        assert_eq!(scalars("seconds/epoch"), json!([[3, 0.5]]));
    }

    /// The first example of RFC 3720, B.4, and the mask as TensorFlow writes it.
    #[test]
    fn checksums_are_those_of_their_source() {
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(masked(&[0; 32]), 0x0fd7_fffa);
    }

    #[test]
    fn a_file_comes_behind_those_that_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let events = Events::new(folder.path());
        fs::write(folder.path().join(format!("{PREFIX}0000000007.fgc")), "").unwrap();
        let name = |now: u64| events.unused(now).unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(name(3), format!("{PREFIX}0000000008.fgc"));
        assert_eq!(name(1_800_000_000), format!("{PREFIX}1800000000.fgc"));
        assert!(is_events(&name(3)) && !is_events("metrics.csv"));
    }
}
