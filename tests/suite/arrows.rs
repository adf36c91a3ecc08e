//! The arrows between the folders of a crate: which may use which, and that no files import each other in a circle.
//!
//! ARCHITECTURE.md lists the arrows of each crate under "Arrows", a row for each folder or file in `src`:
//! `` | `emit/` | `program/` `schedule/` | ``. A row with all that a part may use is enough for the test; a crate
//! without rows isn't tested for arrows, but for circles.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The crates without circles of files: all but `ir`, where the table of operations builds graphs, and graphs are of operations.
const WITHOUT_CIRCLES: &[&str] = &["codegen", "fgc", "import", "plot", "reproduce", "train", "transforms"];

/// The files of a crate, by their module path: `a::b` for `src/a/b.rs` or `src/a/b/mod.rs`, and nothing for `lib.rs`.
struct Crate {
    files: BTreeMap<Vec<String>, (String, String)>,
}

impl Crate {
    fn read(member: &str) -> Crate {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(member).join("src");
        let mut files = BTreeMap::new();
        collect(&src, &src, &mut files);
        assert!(files.contains_key(&Vec::<String>::new()), "{member} has no root");
        Crate { files }
    }

    /// The file that a path leads to: that of its longest prefix that is a module in a file.
    fn file_of(&self, path: &[String]) -> Option<&Vec<String>> {
        (1..=path.len()).rev().find_map(|n| self.files.get_key_value(&path[..n])).map(|(module, _)| module)
    }

    /// The modules, other than itself, that `module` takes names from.
    fn uses(&self, module: &[String]) -> BTreeSet<Vec<String>> {
        let (_, text) = &self.files[module];
        let found = paths(text, module).into_iter().filter_map(|path| self.file_of(&path).cloned());
        found.filter(|used| used != module).collect()
    }
}

fn collect(src: &Path, dir: &Path, files: &mut BTreeMap<Vec<String>, (String, String)>) {
    let mut entries: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            collect(src, &path, files);
        } else if path.extension().is_some_and(|e| e == "rs") && name != "tests" && name != "main" {
            let relative = path.strip_prefix(src).unwrap();
            // Tests may use anything.
            if relative.iter().any(|part| part == "tests" || part == "bin") {
                continue;
            }
            let mut module: Vec<String> =
                relative.parent().unwrap().iter().map(|p| p.to_string_lossy().into_owned()).collect();
            if !["mod", "lib"].contains(&name.as_str()) {
                module.push(name);
            }
            let text = code(&std::fs::read_to_string(&path).unwrap());
            files.insert(module, (relative.display().to_string(), text));
        }
    }
}

/// `text` without comments, and without the tests at its end.
fn code(text: &str) -> String {
    let own = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let line = |line: &str| line.split("//").next().unwrap_or_default().trim_end().to_owned();
    own.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The paths in `text` that begin with `crate`, `self` or `super`, or are imported from a module declared there, as
/// paths from the root; those of groups, as in `use crate::a::{b, c::d}`, one by one.
fn paths(text: &str, module: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(|c: char| c.is_alphabetic()) {
        let begins = !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
        let rest = &text[at..];
        let words = ["crate::", "self::", "super::"];
        if begins && words.iter().any(|word| rest.starts_with(word)) {
            tree(rest, &mut Vec::new(), &mut found);
        }
    }
    let declared = text.match_indices("mod ").filter_map(|(at, _)| {
        let name = text[at + 4..].split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
        let ends = text[at + 4 + name.len()..].starts_with(';');
        ends.then(|| name.to_owned())
    });
    for name in declared {
        for (at, _) in text.match_indices(&format!("{name}::")) {
            let begins = !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            if begins {
                tree(&format!("self::{}", &text[at..]), &mut Vec::new(), &mut found);
            }
        }
    }
    found.into_iter().map(|path| absolute(path, module)).collect()
}

/// Adds the paths of the tree that `text` begins with to `found`, each behind `prefix`; gives what is behind it.
fn tree<'t>(text: &'t str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> &'t str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start();
            if let Some(behind) = rest.strip_prefix('}') {
                return behind;
            }
            let before = rest.len();
            rest = tree(rest, &mut prefix.clone(), found).trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest);
            // Something that is no path, as in a block of code.
            if rest.len() == before {
                return rest;
            }
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    if !word.is_empty() {
        prefix.push(word.to_owned());
    }
    match rest.strip_prefix("::") {
        Some(inner) if !word.is_empty() => tree(inner, prefix, found),
        _ => {
            found.push(prefix.clone());
            rest
        }
    }
}

/// A path from the root of the crate.
fn absolute(path: Vec<String>, module: &[String]) -> Vec<String> {
    let mut base: Vec<String> = module.to_vec();
    let mut words = path.into_iter().peekable();
    while let Some(word) = words.next_if(|w| ["crate", "self", "super"].contains(&w.as_str())) {
        match word.as_str() {
            "crate" => base.clear(),
            "super" => drop(base.pop()),
            _ => {}
        }
    }
    base.extend(words);
    base
}

/// The part of a crate that a module is in: its folder or file in `src`, as in ARCHITECTURE.md.
fn part(files: &Crate, module: &[String]) -> String {
    let (file, _) = &files.files[module];
    match file.split_once('/') {
        Some((folder, _)) => format!("{folder}/"),
        None => file.clone(),
    }
}

/// The arrows that ARCHITECTURE.md lists for each crate: what each of its parts may use.
fn listed() -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ARCHITECTURE.md");
    let text = std::fs::read_to_string(path).unwrap();
    let section = text.split_once("\n## Arrows\n").expect("a section on arrows").1;
    let section = section.split("\n## ").next().unwrap();
    let quoted =
        |text: &str| -> Vec<String> { text.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let mut crates: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    let mut current = None;
    for line in section.lines() {
        if let Some(heading) = line.strip_prefix("| in ") {
            current = quoted(heading).into_iter().next();
        } else if let (Some(member), Some(row)) = (&current, line.strip_prefix("| `")) {
            let (of, uses) = row.split_once("` |").expect("a row of arrows");
            let parts = crates.entry(member.clone()).or_default();
            parts.insert(of.to_owned(), quoted(uses).into_iter().collect());
        }
    }
    crates
}

#[test]
fn parts_use_what_the_architecture_lists() {
    let listed = listed();
    assert!(listed.contains_key("codegen"), "{:?}", listed.keys());
    let mut problems = Vec::new();
    for (member, arrows) in listed {
        let files = Crate::read(&member);
        let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for module in files.files.keys().filter(|module| !module.is_empty()) {
            let from = part(&files, module);
            for used in files.uses(module) {
                let to = part(&files, &used);
                if from == to {
                    continue;
                }
                seen.entry(from.clone()).or_default().insert(to.clone());
                if !arrows.get(&from).is_some_and(|uses| uses.contains(&to)) {
                    let file = &files.files[module].0;
                    problems
                        .push(format!("{member}/src/{file} uses `{to}`, which isn't listed for `{from}`"));
                }
            }
        }
        for (from, uses) in arrows {
            for to in uses {
                if !seen.get(&from).is_some_and(|seen| seen.contains(&to)) {
                    problems
                        .push(format!("ARCHITECTURE.md lists `{from}` using `{to}` in {member}: it doesn't"));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

/// The groups of modules of which each leads to each other, along the arrows that `follow` holds for.
fn groups(files: &Crate, follow: impl Fn(&[String], &[String]) -> bool) -> Vec<Vec<&Vec<String>>> {
    let modules: Vec<&Vec<String>> = files.files.keys().filter(|module| !module.is_empty()).collect();
    let uses = |module: &Vec<String>| -> Vec<Vec<String>> {
        let used = files.uses(module).into_iter().filter(|used| !used.is_empty());
        used.filter(|used| follow(module, used)).collect()
    };
    let next: BTreeMap<&Vec<String>, Vec<Vec<String>>> = modules.iter().map(|&m| (m, uses(m))).collect();
    let reached = |from: &Vec<String>| -> BTreeSet<Vec<String>> {
        let mut seen = BTreeSet::new();
        let mut open = next[from].clone();
        while let Some(module) = open.pop() {
            if seen.insert(module.clone()) {
                open.extend(next[&module].iter().cloned());
            }
        }
        seen
    };
    let reach: BTreeMap<&Vec<String>, BTreeSet<Vec<String>>> =
        modules.iter().map(|&module| (module, reached(module))).collect();
    let mut found: BTreeSet<Vec<&Vec<String>>> = BTreeSet::new();
    for (&module, seen) in &reach {
        let mutual = |other: &&Vec<String>| seen.contains(*other) && reach[*other].contains(module);
        let group: Vec<&Vec<String>> = modules.iter().copied().filter(mutual).collect();
        if group.len() > 1 {
            found.insert(group);
        }
    }
    found.into_iter().collect()
}

/// The circles of a crate, but for modules with their own submodules: groups of files in which no module has all others
/// as its submodules, and groups without the arrows between modules and their submodules.
fn circles(files: &Crate) -> BTreeSet<Vec<String>> {
    let has_head =
        |group: &[&Vec<String>]| group.iter().any(|m| group.iter().all(|other| other.starts_with(m)));
    let mut all = groups(files, |_, _| true);
    all.retain(|group| !has_head(group));
    all.extend(groups(files, |module, used| !used.starts_with(module) && !module.starts_with(used)));
    let names = |group: Vec<&Vec<String>>| group.into_iter().map(|m| files.files[m].0.clone()).collect();
    all.into_iter().map(names).collect()
}

#[test]
fn files_import_each_other_in_no_circle() {
    let mut problems = Vec::new();
    for member in WITHOUT_CIRCLES {
        for circle in circles(&Crate::read(member)) {
            problems.push(format!("{member}/src: {}", circle.join(", ")));
        }
    }
    assert!(problems.is_empty(), "{} circles:\n{}", problems.len(), problems.join("\n"));
}

/// A crate of these modules, for tests of the test.
fn of(modules: &[(&str, &str)]) -> Crate {
    let file = |(path, text): &(&str, &str)| {
        let module = path.split("::").filter(|p| !p.is_empty()).map(str::to_owned).collect();
        (module, (format!("{}.rs", path.replace("::", "/")), code(text)))
    };
    Crate { files: modules.iter().map(file).collect() }
}

#[test]
fn imports_are_read_in_all_their_forms() {
    let files = of(&[
        ("", "mod a;\nmod b;\nmod c;"),
        ("a", "mod inner;\nuse inner::X;\nuse crate::{b::Y, c::{self, deep::Z}};\nfn f() { super::c::g() }"),
        (
            "a::inner",
            "// use crate::c::Commented;\nuse super::super::b;\n#[cfg(test)]\nmod tests { use crate::c; }",
        ),
        ("b", ""),
        ("c", "pub mod deep;"),
        ("c::deep", "use crate::a::inner;"),
    ]);
    let names = |module: &str| -> Vec<String> {
        let module: Vec<String> = module.split("::").map(str::to_owned).collect();
        files.uses(&module).iter().map(|m| m.join("::")).collect()
    };
    assert_eq!(names("a"), ["a::inner", "b", "c", "c::deep"]);
    assert_eq!(names("a::inner"), ["b"]);
    assert_eq!(names("c::deep"), ["a::inner"]);
    let found = |files: &Crate| -> Vec<String> {
        circles(files).into_iter().map(|circle| circle.join(" ")).collect()
    };
    let through = |b: &'static str, c: &'static str| {
        of(&[("a", "use crate::b::x;"), ("b", b), ("c", c), ("c::d", "use crate::a;")])
    };
    assert_eq!(found(&through("use super::c::d;", "")), ["a.rs b.rs c/d.rs"]);
    assert_eq!(found(&through("use super::c;", "mod d;\nuse d::Y;")), ["a.rs b.rs c.rs c/d.rs"]);
    assert!(found(&through("use super::c;", "")).is_empty());
    let siblings =
        of(&[("a", "mod x;\nuse x::X;"), ("a::x", "use super::y;"), ("a::y", "use super::{A, x};")]);
    assert_eq!(found(&siblings), ["a/x.rs a/y.rs"]);
    let own = of(&[("a", "mod x;\nuse x::X;"), ("a::x", "use super::A;")]);
    assert!(found(&own).is_empty());
}
