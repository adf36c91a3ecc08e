//! Whatever stands where a file is written stays what it is.

use std::fs::Permissions;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::process::Command;
use std::thread;

use tempfile::TempDir;

use super::*;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

type Write = fn(&Path, &[u8]) -> io::Result<()>;

/// Both ways of writing.
const WAYS: [Write; 2] = [write_whole, write_output];

#[test]
fn regular_files_are_replaced_with_their_mode() {
    for write in WAYS {
        let folder = folder();
        let (path, fresh) = (folder.path().join("a"), folder.path().join("fresh"));
        fs::write(&path, "old").unwrap();
        for mode in [0o600, 0o640, 0o755, 0o4711] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let before = fs::metadata(&path).unwrap();
            write(&path, b"new").unwrap();
            let after = fs::metadata(&path).unwrap();
            assert_eq!(after.mode() & 0o7777, mode);
            assert_ne!(after.ino(), before.ino(), "it was written in place");
            assert_eq!(fs::read(&path).unwrap(), b"new");
        }
        // One that is made has the mode that any new file has.
        write(&fresh, b"new").unwrap();
        fs::write(folder.path().join("other"), "").unwrap();
        let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().mode();
        assert_eq!(mode("fresh"), mode("other"));
        assert_eq!(names(folder.path()), ["a", "fresh", "other"]);
    }
}

/// Only root may give files away, so that elsewhere there is nothing to see.
#[test]
fn the_owner_is_kept_where_that_is_allowed() {
    for write in WAYS {
        let folder = folder();
        let path = folder.path().join("a");
        fs::write(&path, "old").unwrap();
        if std::os::unix::fs::chown(&path, Some(1234), Some(4321)).is_err() {
            return;
        }
        fs::set_permissions(&path, Permissions::from_mode(0o4750)).unwrap();
        write(&path, b"new").unwrap();
        let after = fs::metadata(&path).unwrap();
        assert_eq!((after.uid(), after.gid(), after.mode() & 0o7777), (1234, 4321, 0o4750));
    }
}

#[test]
fn links_stay_and_their_targets_are_replaced() {
    for write in WAYS {
        let folder = folder();
        let (inner, at) = (folder.path().join("inner"), |name: &str| folder.path().join(name));
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("target"), "old").unwrap();
        symlink("inner/target", at("first")).unwrap();
        symlink(at("first"), at("second")).unwrap();
        // One whose target is made.
        symlink("inner/fresh", at("dangling")).unwrap();
        for (link, target) in [("second", "target"), ("dangling", "fresh")] {
            write(&at(link), b"new").unwrap();
            assert!(fs::symlink_metadata(at(link)).unwrap().is_symlink(), "{link}");
            assert_eq!(fs::read(inner.join(target)).unwrap(), b"new");
        }
        assert_eq!(names(folder.path()), ["dangling", "first", "inner", "second"]);
        assert_eq!(names(&inner), ["fresh", "target"]);
        symlink("round", at("round")).unwrap();
        assert!(write(&at("round"), b"new").is_err());
    }
}

#[test]
fn names_of_one_file_stay_so_in_what_users_name_alone() {
    let folder = folder();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    fs::write(&a, "old and longer").unwrap();
    fs::hard_link(&a, &b).unwrap();
    write_output(&a, b"new").unwrap();
    assert_eq!([fs::read(&a).unwrap(), fs::read(&b).unwrap()], [b"new", b"new"]);
    assert_eq!(fs::metadata(&a).unwrap().nlink(), 2);
    write_whole(&a, b"newest").unwrap();
    assert_eq!((fs::read(&a).unwrap(), fs::read(&b).unwrap()), (b"newest".to_vec(), b"new".to_vec()));
}

#[test]
fn what_is_no_regular_file_is_written_through() {
    for write in WAYS {
        let folder = folder();
        let (fifo, link) = (folder.path().join("fifo"), folder.path().join("link"));
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        symlink("fifo", &link).unwrap();
        for path in [&fifo, &link] {
            let reader = {
                let fifo = fifo.clone();
                thread::spawn(move || {
                    let mut read = String::new();
                    File::open(fifo).unwrap().read_to_string(&mut read).unwrap();
                    read
                })
            };
            write(path, b"through").unwrap();
            assert_eq!(reader.join().unwrap(), "through");
            assert!(fs::metadata(path).unwrap().file_type().is_fifo());
        }
        // A file that is open already has what it had, and more.
        let path = folder.path().join("open");
        fs::write(&path, "old ").unwrap();
        let file = File::open(&path).unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&file);
        write(Path::new(&format!("/dev/fd/{number}")), b"and new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old and new");
        assert_eq!(names(folder.path()), ["fifo", "link", "open"]);
    }
}

#[test]
fn what_cannot_be_written_is_an_error_and_stays() {
    for write in WAYS {
        let folder = folder();
        let said = |path: &Path| write(path, b"new").unwrap_err().to_string();
        assert!(said(folder.path()).contains("a folder"));
        assert!(said(&folder.path().join("a/")).contains("a folder"));
        assert!(said(Path::new("")).contains("a folder"));
        assert!(said(&folder.path().join("none/a")).contains("No such file"));
        assert!(names(folder.path()).is_empty());
    }
}

/// A name of the form of a temporary file.
const TEMPORARY: &str = ".fgc-0123456789abcdEF.tmp";

#[test]
fn only_own_temporary_files_without_a_writer_are_removed() {
    let folder = folder();
    let (inner, linked) = (folder.path().join("inner"), folder.path().join("linked"));
    fs::create_dir(&inner).unwrap();
    symlink(&inner, &linked).unwrap();
    let foreign =
        ["a.tmp", ".fgc-short.tmp", ".fgc-0123456789abcde-.tmp", "x.fgc-0123456789abcdEF.tmp", LOCK];
    for name in foreign.into_iter().chain([TEMPORARY]) {
        fs::write(inner.join(name), "x").unwrap();
    }
    // A link with such a name, and a folder.
    symlink("a.tmp", inner.join(".fgc-0123456789abcdEG.tmp")).unwrap();
    fs::create_dir(inner.join(".fgc-0123456789abcdEH.tmp")).unwrap();
    let all = names(&inner);
    clean(&linked).unwrap();
    assert_eq!(names(&inner), all);
    let writer = OpenOptions::new().write(true).open(inner.join(TEMPORARY)).unwrap();
    writer.lock().unwrap();
    clean(&inner).unwrap();
    assert_eq!(names(&inner), all);
    drop(writer);
    clean(&inner).unwrap();
    let left: Vec<String> = all.into_iter().filter(|name| name != TEMPORARY).collect();
    assert_eq!(names(&inner), left);
    clean(&folder.path().join("none")).unwrap();
}

/// Writers and cleaners at once: nothing fails, nothing is left, and what is read is whole.
#[test]
fn cleaners_leave_writers_alone() {
    let folder = folder();
    let path = folder.path().join("a");
    let content = |k: usize| vec![k as u8; 1000];
    write_output(&path, &content(0)).unwrap();
    thread::scope(|scope| {
        for k in 0..4 {
            let (path, folder) = (&path, folder.path());
            scope.spawn(move || {
                for _ in 0..50 {
                    write_output(path, &content(k)).unwrap();
                    clean(folder).unwrap();
                    let read = fs::read(path).unwrap();
                    assert!(read.len() == 1000 && read.iter().all(|b| *b == read[0]));
                }
            });
        }
    });
    assert_eq!(names(folder.path()), ["a"]);
}

#[test]
fn a_lock_is_one_process_s_and_leaves_nothing() {
    let folder = folder();
    let lock = Lock::of_folder(folder.path()).unwrap().unwrap();
    assert_eq!(names(folder.path()), [LOCK]);
    assert!(Lock::of_folder(folder.path()).unwrap().is_none());
    // What shares it holds it on.
    let shared = lock.share().unwrap();
    let path = folder.path().join(LOCK);
    fs::hard_link(&path, folder.path().join("kept")).unwrap();
    drop(lock);
    assert_eq!(names(folder.path()), ["kept"]);
    fs::rename(folder.path().join("kept"), &path).unwrap();
    assert!(Lock::of_folder(folder.path()).unwrap().is_none());
    drop(shared);
    drop(Lock::of_folder(folder.path()).unwrap().unwrap());
    assert!(names(folder.path()).is_empty());
    // What is left of a process that was killed is no obstacle; a link is one, and isn't followed.
    fs::write(&path, "").unwrap();
    drop(Lock::of_folder(folder.path()).unwrap().unwrap());
    let mine = folder.path().join("mine");
    fs::write(&mine, "mine").unwrap();
    symlink("mine", &path).unwrap();
    assert!(Lock::of_folder(folder.path()).unwrap_err().to_string().contains("isn't a regular file"));
    fs::remove_file(&path).unwrap();
    symlink("none", &path).unwrap();
    assert!(Lock::of_folder(folder.path()).is_err());
    assert_eq!(fs::read(&mine).unwrap(), b"mine");
    assert!(!folder.path().join("none").exists());
}

/// However many want a lock at once, one has it at a time.
#[test]
fn locks_exclude_each_other() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let (folder, inside) = (folder(), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let path = folder.path().join(LOCK);
                    let lock = Lock::take(&path, std::time::Duration::from_secs(60)).unwrap().unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    thread::yield_now();
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(lock);
                }
            });
        }
    });
}

#[test]
fn the_same_file_is_known_by_any_name() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("a"), "").unwrap();
    fs::write(at("b"), "").unwrap();
    fs::hard_link(at("a"), at("hard")).unwrap();
    symlink("a", at("soft")).unwrap();
    for name in ["a", "hard", "soft", "./a"] {
        assert!(same(&at(name), &at("a")), "{name}");
    }
    assert!(!same(&at("b"), &at("a")) && !same(&at("none"), &at("none")));
    assert!(!same(Path::new("/dev/null"), Path::new("/dev/null")));
}
