//! Lists the models, estimators and optimizers that come with fgc, which are files of three folders.

use std::path::Path;
use std::{env, fs};

fn main() {
    let home = env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    let mut code = String::new();
    for (name, folder) in [("MODELS", "models"), ("ESTIMATORS", "estimators"), ("OPTIMIZERS", "optimizers")] {
        let folder = Path::new(&home).join(folder);
        println!("cargo::rerun-if-changed={}", folder.display());
        let entries = fs::read_dir(&folder).expect("the folder is part of the package");
        let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry of the folder").path()).collect();
        // The prelude has layers, and no model.
        let is_listed =
            |path: &Path| path.extension().is_some_and(|e| e == "fg") && !path.ends_with("prelude.fg");
        files.retain(|path| is_listed(path));
        files.sort();
        code += &format!("/// The files of `{}`.\nconst {name}: &[(&str, &str)] = &[\n", folder.display());
        for path in files {
            let stem = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
            code += &format!("    ({stem:?}, include_str!({:?})),\n", path.display().to_string());
        }
        code += "];\n";
    }
    let out = env::var("OUT_DIR").expect("cargo says where to write");
    fs::write(Path::new(&out).join("methods.rs"), code).expect("the folder can be written to");
}
