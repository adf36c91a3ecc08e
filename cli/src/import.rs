//! `fgc import`: makes a model of one of another system.

use std::path::Path;

use fgc::ir::{arrays, bounded};
use fgc_import::{MAX_FILE, Settings};

use crate::args::Import;
use crate::failure::say_notes;
use crate::failure::{self, Done, input};
use crate::output;

pub fn import(args: &Import, quiet: bool) -> Done {
    let read: Vec<&Path> =
        std::iter::once(&args.model).chain(&args.data).map(|path| path.as_path()).collect();
    for path in args.output.iter().chain(&args.params) {
        output::differs(path, &read)?;
    }
    if let (Some(text), Some(params)) = (&args.output, &args.params)
        && text == params
    {
        return Err(input(format_args!("{}: the model and its parameters are two files", text.display())));
    }
    let bytes = |path: &Path| {
        bounded::read(path, MAX_FILE).map_err(|e| input(format_args!("{}: {e}", path.display())))
    };
    let data = args.data.as_deref().map(bytes).transpose()?;
    let settings = Settings {
        name: args.model.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default(),
        loss: args.loss.map(Into::into),
        layout: args.layout.into(),
        sizes: args.size.iter().cloned().collect(),
    };
    let imported = fgc_import::import(bytes(&args.model)?, data, &settings)
        .map_err(|e| input(format_args!("{}: {e}", args.model.display())))?;
    say_notes(&imported.notes, quiet);
    if let Some(path) = &args.params {
        output::write(path, &arrays::to_bytes(&imported.arrays, &imported.sources).map_err(input)?)?;
    }
    match &args.output {
        None => failure::print(&imported.text)?,
        Some(path) => output::write(path, imported.text.as_bytes())?,
    }
    if !quiet {
        let elements: usize = imported.arrays.values().map(|x| x.len()).sum();
        failure::say(&format!("{} arrays, {elements} elements", imported.arrays.len()));
    }
    Ok(())
}
