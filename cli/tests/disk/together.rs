//! Several processes at once in one folder: one does its work, and the others say why they don't.

use std::process::Child;

use super::*;

fn spawned(args: &[&str]) -> Child {
    command(args).spawn().unwrap()
}

/// How all of `children` ended.
fn outcomes(children: Vec<Child>) -> Vec<(Option<i32>, String)> {
    let of = |child: Child| ended(child.wait_with_output().unwrap());
    children.into_iter().map(of).map(|(code, _, errors)| (code, errors)).collect()
}

const SEEDS: [&str; 3] = ["1", "2", "3"];

fn trainings_at_once(rounds: usize) {
    let folder = tempfile::tempdir().unwrap();
    let expected = SEEDS.map(|seed| {
        let run = path(&folder, seed);
        succeeds(&training(&run, &["--seed", seed]));
        left(&run)
    });
    for round in 0..rounds {
        for count in [2, 3] {
            let run = path(&folder, "run");
            let children =
                SEEDS[..count].iter().map(|seed| spawned(&training(&run, &["--seed", seed]))).collect();
            let ended = outcomes(children);
            let won: Vec<usize> = (0..count).filter(|k| ended[*k].0 == Some(0)).collect();
            assert_eq!(won.len(), 1, "round {round}: {ended:?}");
            let busy = format!("error: {run}: another process is training in this folder");
            let there = format!("error: {run}: there is a run in this folder");
            for (k, (code, errors)) in ended.iter().enumerate().filter(|(k, _)| *k != won[0]) {
                assert_eq!(*code, Some(1), "{k}: {errors}");
                assert!(errors.starts_with(&busy) || errors.starts_with(&there), "{errors}");
            }
            assert!(left(&run) == expected[won[0]], "round {round}: what {won:?} leaves isn't its own");
            fs::remove_dir_all(&run).unwrap();
        }
        // Going on with one.
        let run = path(&folder, "run");
        let begun = command(&training(&run, &["--seed", SEEDS[0]])).env("FGC_FAULT", "kill:30").output();
        assert_eq!(begun.unwrap().status.code(), Some(137));
        let ended = outcomes((0..3).map(|_| spawned(&training_on(&run, &[]))).collect());
        assert!(ended.iter().any(|(code, _)| *code == Some(0)), "{ended:?}");
        for (_, errors) in ended.iter().filter(|(code, _)| *code != Some(0)) {
            assert!(errors.contains("another process is training in this folder"), "{errors}");
        }
        assert!(left(&run) == expected[0]);
        fs::remove_dir_all(&run).unwrap();
    }
}

#[test]
fn one_training_has_a_folder() {
    trainings_at_once(3);
}

#[test]
#[ignore = "takes minutes"]
fn one_training_has_a_folder_in_fifty_rounds() {
    trainings_at_once(50);
}

/// Runs without a folder of their own don't take each other's.
#[test]
fn trainings_without_a_folder_have_one_each() {
    let folder = tempfile::tempdir().unwrap();
    let model = root().join("models/logistic.fg").canonicalize().unwrap().display().to_string();
    let args =
        training("", &[]).into_iter().map(|arg| if arg == "models/logistic.fg" { &model } else { arg });
    let args: Vec<&str> = args.filter(|arg| !["--out", ""].contains(arg)).collect();
    let children = (0..4).map(|_| command(&args).current_dir(folder.path()).spawn().unwrap()).collect();
    assert!(outcomes(children).iter().all(|(code, _)| *code == Some(0)));
    let runs = names(folder.path().join("runs"));
    assert_eq!(runs, ["logistic-1", "logistic-2", "logistic-3", "logistic-4"]);
    let of = |run: &String| left(&path(&folder, &format!("runs/{run}")));
    assert!(runs.iter().all(|run| of(run) == of(&runs[0])));
}

fn experiments_at_once(rounds: usize) {
    let folder = tempfile::tempdir().unwrap();
    let file = path(&folder, "tiny.toml");
    fs::write(&file, TINY).unwrap();
    let expected = SEEDS.map(|seeds| {
        let out = path(&folder, seeds);
        succeeds(&experiment(&file, &out, seeds));
        results(&out, "tiny")
    });
    for round in 0..rounds {
        for count in [2, 3] {
            let out = path(&folder, "out");
            let ended =
                outcomes(SEEDS[..count].iter().map(|n| spawned(&experiment(&file, &out, n))).collect());
            let won: Vec<usize> = (0..count).filter(|k| ended[*k].0 == Some(0)).collect();
            assert!(!won.is_empty(), "round {round}: {ended:?}");
            for (_, errors) in ended.iter().filter(|(code, _)| *code != Some(0)) {
                let busy = format!(
                    "error: {out}/tiny: another process is carrying out an experiment in this folder"
                );
                assert!(errors.starts_with(&busy), "{errors}");
            }
            // One that began when another had ended goes on with its runs; the results are of the last.
            let found = results(&out, "tiny");
            assert!(won.iter().any(|k| expected[*k] == found), "round {round}: {won:?} leave {}", found.0);
            fs::remove_dir_all(&out).unwrap();
        }
    }
}

#[test]
fn one_experiment_has_a_folder() {
    experiments_at_once(1);
}

#[test]
#[ignore = "takes minutes"]
fn one_experiment_has_a_folder_in_fifty_rounds() {
    experiments_at_once(50);
}

/// Different experiments can be carried out at once, and are in one report.
#[test]
fn experiments_beside_each_other_are_all_reported() {
    let folder = tempfile::tempdir().unwrap();
    let out = path(&folder, "out");
    let files = ["one", "two", "three"].map(|name| path(&folder, &format!("{name}.toml")));
    files.iter().for_each(|file| fs::write(file, TINY).unwrap());
    let ended = outcomes(files.iter().map(|file| spawned(&experiment(file, &out, "1"))).collect());
    assert!(ended.iter().all(|(code, _)| *code == Some(0)), "{ended:?}");
    let found = ["one", "two", "three"].map(|name| results(&out, name));
    assert!(found.iter().all(|of| *of == found[0]));
    let report = fs::read_to_string(Path::new(&out).join("report.html")).unwrap();
    assert!(["one", "two", "three"].iter().all(|name| report.contains(&format!("id=\"experiment-{name}\""))));
}
