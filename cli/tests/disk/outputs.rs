//! Where outputs may go, and where not.

use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::thread;

use super::*;

const MODEL: &str = "models/logistic.fg";

/// The commands that write a file, without the name of that.
const WRITERS: [&[&str]; 3] = [
    &["compile", MODEL, "-o"],
    &["init", MODEL, "--quiet", "-o"],
    &["run", "models/rosenbrock.fg", "--quiet", "--outputs"],
];

fn written_by(writer: &[&str], output: &str) -> String {
    succeeds(&[writer, &[output]].concat())
}

#[test]
fn outputs_go_to_whatever_stands_there() {
    for writer in WRITERS {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        written_by(writer, &path(&folder, "plain"));
        let expected = fs::read(at("plain")).unwrap();

        fs::write(at("target"), "old").unwrap();
        symlink("target", at("link")).unwrap();
        written_by(writer, &path(&folder, "link"));
        assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
        assert!(fs::read(at("target")).unwrap() == expected);

        fs::write(at("hard"), "old").unwrap();
        fs::hard_link(at("hard"), at("other")).unwrap();
        written_by(writer, &path(&folder, "hard"));
        assert!(fs::read(at("other")).unwrap() == expected);

        assert!(Command::new("mkfifo").arg(at("fifo")).status().unwrap().success());
        let fifo = at("fifo");
        let reader = thread::spawn(move || {
            let mut read = Vec::new();
            fs::File::open(fifo).unwrap().read_to_end(&mut read).unwrap();
            read
        });
        written_by(writer, &path(&folder, "fifo"));
        assert!(reader.join().unwrap() == expected);
        assert!(fs::metadata(at("fifo")).unwrap().file_type().is_fifo());

        let before = fs::symlink_metadata("/dev/null").unwrap();
        written_by(writer, "/dev/null");
        let after = fs::symlink_metadata("/dev/null").unwrap();
        assert!(after.file_type().is_char_device() && after.ino() == before.ino());

        let output = command(&[writer, &["/dev/stdout"]].concat()).output().unwrap();
        assert!(output.status.success() && output.stdout == expected);
        // What is in the file already that standard output goes to stays.
        let line = format!(
            "{{ echo a; \"$0\" {} /dev/stdout; echo b; }} > {}",
            writer.join(" "),
            path(&folder, "all")
        );
        let shell =
            Command::new("sh").args(["-c", &line, env!("CARGO_BIN_EXE_fgc")]).current_dir(root()).status();
        assert!(shell.unwrap().success());
        assert!(fs::read(at("all")).unwrap() == [b"a\n", &expected[..], b"b\n"].concat());

        assert_eq!(names(folder.path()), ["all", "fifo", "hard", "link", "other", "plain", "target"]);
    }
}

#[test]
fn outputs_that_would_overwrite_an_input_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::copy(root().join(MODEL), at("m.fg")).unwrap();
    let text = fs::read(at("m.fg")).unwrap();
    fs::hard_link(at("m.fg"), at("hard")).unwrap();
    symlink("m.fg", at("soft")).unwrap();
    symlink("soft", at("softer")).unwrap();
    let (model, given) = (path(&folder, "m.fg"), path(&folder, "given"));
    succeeds(&["init", &model, "-o", &given]);
    let arrays = fs::read(&given).unwrap();
    symlink("given", at("given too")).unwrap();
    for output in ["m.fg", "hard", "soft", "softer"].map(|name| path(&folder, name)) {
        for (name, flag) in [("compile", "-o"), ("init", "-o"), ("run", "--outputs")] {
            let said = fails(&[name, &model, flag, &output]);
            assert!(said.contains(&format!("{output}: this would overwrite the input {model}")), "{said}");
        }
    }
    for output in ["given", "given too"].map(|name| path(&folder, name)) {
        let said = fails(&["run", &model, "--inputs", &given, "--outputs", &output]);
        assert!(said.contains(&format!("{output}: this would overwrite the input {given}")), "{said}");
    }
    // The experiment that is carried out, where its copy would be.
    fs::create_dir(at("experiment")).unwrap();
    fs::write(at("experiment/experiment.toml"), TINY).unwrap();
    let said = fails(&experiment(&path(&folder, "experiment/experiment.toml"), &path(&folder, ""), "1"));
    assert!(said.contains("would overwrite the input"), "{said}");
    assert_eq!(names(at("experiment")), ["experiment.toml"]);
    assert!(fs::read(at("m.fg")).unwrap() == text && fs::read(at("given")).unwrap() == arrays);
    assert!(fs::symlink_metadata(at("soft")).unwrap().is_symlink());
}

/// Clean-up knows its own files by their names, and goes through no links.
#[test]
fn what_is_not_fgc_s_own_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let run = path(&folder, "run");
    succeeds(&training(&run, &["--epochs", "1"]));
    let mine = folder.path().join("mine");
    fs::rename(Path::new(&run).join("checkpoints"), &mine).unwrap();
    symlink("../mine", Path::new(&run).join("checkpoints")).unwrap();
    let own = [".fgc-0123456789abcdef.tmp", "a.tmp", "step-1.safetensors.7.tmp"];
    own.iter().for_each(|name| fs::write(mine.join(name), "x").unwrap());
    fs::write(Path::new(&run).join("notes.tmp"), "x").unwrap();
    let before = names(&mine);
    succeeds(&["train", "--resume", &run]);
    assert_eq!(names(&mine), before);
    assert!(Path::new(&run).join("notes.tmp").exists());

    // The checkpoints of a run that has ended are dropped from an experiment, and nothing else.
    let (out, file) = (path(&folder, "out"), path(&folder, "tiny.toml"));
    fs::write(&file, TINY).unwrap();
    succeeds(&experiment(&file, &out, "1"));
    let runs = Path::new(&out).join("tiny/runs");
    let [first, second] = [0, 1].map(|k| runs.join(&names(&runs)[k]).join("checkpoints"));
    fs::create_dir(&first).unwrap();
    fs::write(first.join("mine"), "x").unwrap();
    fs::write(first.join("step-0000000008.safetensors"), "x").unwrap();
    symlink(&mine, &second).unwrap();
    succeeds(&experiment(&file, &out, "1"));
    assert_eq!((names(&first), names(&mine)), (vec!["mine".to_owned()], before));

    // A lock isn't taken through a link.
    let data = path(&folder, "data");
    fs::create_dir(&data).unwrap();
    fs::write(folder.path().join("valuable"), "x").unwrap();
    for lock in [Path::new(&data).join(".mnist.lock"), Path::new(&run).join(".fgc-lock")] {
        symlink(folder.path().join("valuable"), lock).unwrap();
    }
    let said = fails(&["data", "get", "mnist", "--data-dir", &data]);
    assert!(said.contains(".mnist.lock: this isn't a regular file"), "{said}");
    let said = fails(&["train", "--resume", &run]);
    assert!(said.contains(".fgc-lock: this isn't a regular file"), "{said}");
    assert_eq!(fs::read(folder.path().join("valuable")).unwrap(), b"x");
}
