//! Fetching data sets, with programs of the test's own in the place of package managers.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, thread};

use fgc_train::data::fetch::{Got, Tools, get, verify};
use fgc_train::data::registry::{Content, MNIST, Package, PublicSet};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// The content of the one file of the set, and its MD5.
const HELLO: (&[u8], &str) = (b"hello\n", "b1946ac92492d2347c6235b4d2611184");

fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

/// A folder with a package, and programs that fetch and unpack it after `failures` failures.
fn workshop(failures: usize) -> (TempDir, Tools) {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display().to_string();
    let mut tar = tar::Builder::new(GzEncoder::new(
        fs::File::create(folder.path().join("p.tgz")).unwrap(),
        Compression::fast(),
    ));
    for name in ["package/other", "package/data/hello"] {
        let mut header = tar::Header::new_gnu();
        header.set_size(HELLO.0.len() as u64);
        header.set_cksum();
        tar.append_data(&mut header, name, HELLO.0).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap();
    fs::copy(folder.path().join("p.tgz"), folder.path().join("p.deb")).unwrap();
    let mut gz =
        GzEncoder::new(fs::File::create(folder.path().join("hello.gz")).unwrap(), Compression::fast());
    std::io::Write::write_all(&mut gz, HELLO.0).unwrap();
    gz.finish().unwrap();
    fs::write(folder.path().join("calls"), "").unwrap();
    let fetch = |ending: &str| {
        format!(
            "echo x >> {at}/calls\nif [ $(wc -l < {at}/calls) -le {failures} ]; then\n  echo half > p.{ending}\n  \
             echo the network is down >&2\n  exit 7\nfi\ncp {at}/p.{ending} ."
        )
    };
    let tools = tools(folder.path());
    script(&tools.npm, &fetch("tgz"));
    script(&tools.apt_get, &fetch("deb"));
    script(&tools.dpkg_deb, &format!("mkdir -p $3/usr/share\ncp {at}/hello.gz $3/usr/share/"));
    (folder, tools)
}

/// The programs in that folder.
fn tools(folder: &Path) -> Tools {
    Tools {
        npm: folder.join("npm"),
        apt_get: folder.join("apt-get"),
        dpkg_deb: folder.join("dpkg-deb"),
        pauses: vec![Duration::ZERO; 2],
        longest: Duration::from_secs(60),
    }
}

/// The set in that package.
fn known(folder: &Path, package: Package) -> PublicSet {
    let hash = Sha256::digest(fs::read(folder.join("p.tgz")).unwrap());
    let hash: String = hash.iter().map(|b| format!("{b:02x}")).collect();
    PublicSet {
        name: "hello",
        package,
        sha256: Box::leak(hash.into_boxed_str()),
        files: &[("hello", HELLO.1)],
        ..MNIST
    }
}

fn npm() -> Package {
    Package::Npm("hello@1.0.0", Content::Files("package/data"))
}

fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn sets_are_fetched_once_and_verified() {
    for package in [npm(), Package::Debian("hello", "usr/share")] {
        let (folder, tools) = workshop(2);
        let known = known(folder.path(), package);
        let root = folder.path().join("data");
        let mut said = Vec::new();
        assert_eq!(get(&known, &root, &tools, &mut |text| said.push(text.to_owned())), Ok(Got::Fetched));
        assert_eq!(
            said.iter().filter(|text| text.contains("the network is down\ntrying again in 0 s")).count(),
            2
        );
        assert_eq!(entries(&root), ["hello"]);
        assert_eq!(fs::read(root.join("hello/hello")).unwrap(), HELLO.0);
        assert_eq!(get(&known, &root, &tools, &mut |text| panic!("{text}")), Ok(Got::AlreadyThere));
        assert_eq!(verify(&known, &root.join("hello")), Ok(()));
        assert_eq!(fs::read_to_string(folder.path().join("calls")).unwrap().lines().count(), 3);
    }
}

#[test]
fn fetching_that_fails_says_why_and_leaves_nothing() {
    let fails = |known: &PublicSet, root: &Path, tools: &Tools| {
        get(known, root, tools, &mut |_| {}).unwrap_err().to_string()
    };
    let (folder, tools) = workshop(3);
    let set = known(folder.path(), npm());
    let root = folder.path().join("data");
    let error = fails(&set, &root, &tools);
    assert!(
        error.contains(
            "pack --silent --ignore-scripts hello@1.0.0` failed (exit status: 7):\nthe network is down"
        ),
        "{error}"
    );
    assert!(entries(&root).is_empty());
    // What is left of a process that was killed is no obstacle.
    fs::create_dir_all(root.join(".hello.part/made")).unwrap();
    assert_eq!(get(&set, &root, &tools, &mut |_| {}), Ok(Got::Fetched));
    assert_eq!(entries(&root), ["hello"]);
    // Nor is a link, and what it leads to stays.
    fs::remove_dir_all(root.join("hello")).unwrap();
    symlink(folder.path(), root.join(".hello.part")).unwrap();
    let before = entries(folder.path());
    assert_eq!(get(&set, &root, &tools, &mut |_| {}), Ok(Got::Fetched));
    assert_eq!((entries(&root), entries(folder.path())), (vec!["hello".to_owned()], before));

    let (folder, tools) = workshop(0);
    let root = folder.path().join("data");
    let set = known(folder.path(), npm());
    let missing = Tools { npm: "no-such-program".into(), ..tools.clone() };
    let error = fails(&set, &root, &missing);
    assert!(error.contains("`no-such-program`, which fetches this set, isn't there"), "{error}");
    let error = fails(&PublicSet { sha256: "00", ..set.clone() }, &root, &tools);
    assert!(error.contains("its SHA-256 is") && error.contains("not 00"), "{error}");
    let error = fails(&PublicSet { files: &[("hello", "00")], ..set.clone() }, &root, &tools);
    assert!(error.contains("its MD5 is b1946ac92492d2347c6235b4d2611184, not 00"), "{error}");
    let error = fails(&PublicSet { files: &[("world", "00")], ..set.clone() }, &root, &tools);
    assert!(error.contains("`package/data/world` isn't in it"), "{error}");
    assert!(entries(&root).is_empty());

    // Something else in its place is left alone.
    fs::create_dir(root.join("hello")).unwrap();
    fs::write(root.join("hello/hello"), "mine").unwrap();
    let error = fails(&set, &root, &tools);
    assert!(error.contains("move it away"), "{error}");
    assert_eq!(fs::read(root.join("hello/hello")).unwrap(), b"mine");

    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(fails(&set, &file, &tools).contains("file"));
}

#[test]
fn one_process_fetches_a_set_at_a_time() {
    let (folder, tools) = workshop(0);
    let set = known(folder.path(), npm());
    let root = folder.path().join("data");
    fs::create_dir(&root).unwrap();
    let lock = fs::File::create(root.join(".hello.lock")).unwrap();
    lock.lock().unwrap();
    let error = get(&set, &root, &tools, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("another process is fetching"), "{error}");
    drop(lock);
    assert_eq!(get(&set, &root, &tools, &mut |_| {}), Ok(Got::Fetched));
}

#[test]
fn several_that_want_a_set_fetch_it_once() {
    let (folder, tools) = workshop(0);
    let set = known(folder.path(), npm());
    let root = folder.path().join("data");
    let all: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(|| get(&set, &root, &tools, &mut |_| {}))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(all.iter().filter(|got| **got == Ok(Got::Fetched)).count(), 1, "{all:?}");
    for error in all.iter().filter_map(|got| got.as_ref().err()) {
        assert!(error.to_string().contains("data/hello: another process is fetching this set"), "{error}");
    }
    assert_eq!(entries(&root), ["hello"]);
    assert_eq!(fs::read_to_string(folder.path().join("calls")).unwrap().lines().count(), 1);
}

/// The variable that names the workshop of [`fetches_for_another_test`].
const WORKSHOP: &str = "FGC_TEST_WORKSHOP";

#[test]
#[ignore = "is the process that another test kills"]
fn fetches_for_another_test() {
    let Some(folder) = env::var_os(WORKSHOP).map(PathBuf::from) else { return };
    let got = get(&known(&folder, npm()), &folder.join("data"), &tools(&folder), &mut |_| {});
    assert!(got.is_ok(), "{got:?}");
}

/// Fetches as another process does, which is killed again and again; then the set is there.
fn killed(rounds: u32) {
    for round in 0..rounds {
        let (folder, tools) = workshop(0);
        let root = folder.path().join("data");
        let slow = fs::read_to_string(&tools.npm).unwrap() + "sleep 0.05 &\nwait\n";
        fs::write(&tools.npm, slow).unwrap();
        let fetching = || {
            let mut command = Command::new(env::current_exe().unwrap());
            command.args(["--ignored", "--exact", "fetch::fetches_for_another_test"]);
            command.env(WORKSHOP, folder.path()).stdout(Stdio::piped()).spawn().unwrap()
        };
        for k in 0..3 {
            let mut child = fetching();
            thread::sleep(Duration::from_micros(u64::from(round * 3 + k) * 7919 % 120_000));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let output = fetching().wait_with_output().unwrap();
        assert!(output.status.success(), "round {round}: {}", String::from_utf8_lossy(&output.stdout));
        assert_eq!(entries(&root), ["hello"], "round {round}");
        assert_eq!(fs::read(root.join("hello/hello")).unwrap(), HELLO.0);
    }
}

#[test]
fn what_was_killed_while_fetching_is_no_obstacle() {
    killed(8);
}

#[test]
#[ignore = "takes a minute"]
fn what_was_killed_while_fetching_is_no_obstacle_fifty_times() {
    killed(50);
}

#[test]
fn programs_without_an_end_are_ended() {
    let (folder, mut tools) = workshop(0);
    let known = known(folder.path(), npm());
    let root = folder.path().join("data");
    let mut refused = |text: &str, longest: u64, why: &str| {
        script(&tools.npm, text);
        tools.longest = Duration::from_secs(longest);
        let error = get(&known, &root, &tools, &mut |_| {}).unwrap_err().to_string();
        assert!(error.ends_with(why) && error.contains("hello@1.0.0` was ended: "), "{error}");
        assert!(!root.join("hello").exists());
    };
    refused("exec yes", 60, "it printed more than 16777216 bytes");
    refused("exec yes >&2", 60, "it printed more than 16777216 bytes");
    refused("exec sleep 1000", 0, "it took more than 0 s");
    // A file of that length that takes no room.
    let hole = "truncate -s 1073741825 p.part\nexec sleep 1000";
    refused(hole, 60, "it wrote 1073741825 bytes; a download has at most 1073741824");
    // Of a long message the end is heard.
    script(&tools.npm, "yes no | head -c 99999 >&2\necho the network is down >&2\nexit 7");
    let error = get(&known, &root, &tools, &mut |_| {}).unwrap_err().to_string();
    assert!(error.ends_with("no\nthe network is down") && error.len() < 20_000, "{error}");
}
