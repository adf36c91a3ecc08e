//! Every error message of the language and of the core form, as it is shown.

use fgc_transforms::Derivatives;
use std::collections::BTreeSet;
use std::path::Path;

use fgc_ir::diag::{Diagnostic, Sources};
use fgc_ir::lang::{Options, load};

/// The errors of `text`, as shown, and their messages.
fn errors(name: &str, text: &str, options: &Options) -> (String, Vec<Diagnostic>) {
    let mut sources = Sources::new();
    let file = sources.add(name, text);
    let errors = load(&mut sources, file, options, &Derivatives).expect_err(name);
    let shown: Vec<String> = errors.iter().map(|e| e.render(&sources, false)).collect();
    (shown.join("\n\n"), errors)
}

fn snapshots() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

#[test]
fn messages() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fg/errors");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut distinct = BTreeSet::new();
    for path in files {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let (shown, errors) = errors(&format!("{name}.fg"), &text, &Options::default());
        for error in &errors {
            assert!(!error.message.is_empty() && !error.message.ends_with('.'), "{name}: {}", error.message);
            assert_eq!(error.labels[0].0.file, 0, "{name} is blamed on the prelude: {shown}");
        }
        distinct.extend(errors.into_iter().map(|e| e.message));
        snapshots().bind(|| insta::assert_snapshot!(format!("error_{name}"), shown));
    }
    assert!(distinct.len() >= 100, "{} distinct messages", distinct.len());
}

#[test]
fn messages_of_options() {
    let model = "const hidden = 8\nconst rate = 0.5\nconst deep = true\n\n\
                 model m(x: f32[batch, 4]) {\n  loss = mean(dense(x, hidden))\n}\n\n\
                 graph g {\n  %x = input[\"x\"] : f32[2]\n  output y = %x\n}\n";
    let options = |model: &str, set: &[(&str, &str)], batch| Options {
        model: Some(model.to_owned()),
        set: set.iter().map(|&(a, b)| (a.to_owned(), b.to_owned())).collect(),
        batch,
        ..Options::default()
    };
    let cases = [
        ("unknown_const_near", options("m", &[("hiden", "3")], None)),
        ("unknown_const", options("m", &[("width", "3")], None)),
        ("const_of_another_kind", options("m", &[("hidden", "2.5")], None)),
        ("const_not_a_number", options("m", &[("rate", "half")], None)),
        ("const_not_a_truth_value", options("m", &[("deep", "1")], None)),
        ("batch_of_none", options("m", &[], Some(0))),
        ("set_batch", options("m", &[("batch", "3")], None)),
        ("unknown_model", options("n", &[], None)),
        ("batch_of_graph", options("g", &[], Some(4))),
        ("set_of_graph", options("g", &[("hidden", "4")], None)),
    ];
    let shown: Vec<String> = cases
        .iter()
        .map(|(name, options)| format!("{name}\n\n{}", errors("options.fg", model, options).0))
        .collect();
    snapshots().bind(|| insta::assert_snapshot!("error_options", shown.join("\n\n\n")));
}

#[test]
fn at_most_fifty_errors() {
    let mut model = String::from("model m(x: f32[4]) {\n");
    for k in 0..80 {
        model.push_str(&format!("  a{k} = unknown{k}(x)\n"));
    }
    model.push_str("  loss = mean(x)\n}\n");
    assert_eq!(errors("many.fg", &model, &Options::default()).1.len(), 50);
}
