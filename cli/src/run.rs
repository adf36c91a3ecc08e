//! `fgc run`: executes a mode of a model on given arrays.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use fgc::ir::diag::quoted;
use fgc::ir::lang::DEFAULT_BATCH;
use fgc::ir::{Builder, Role, arrays, bind, bounds, interpret};
use fgc::keys::key;
use fgc::timing::ms;
use fgc::transforms::Suffix;
use fgc::{Arrays, CompileOptions, DType, Direction, Graph, Level, Model, Tensor, Threads, Type, random};
use fgc_train::read_arrays;

use crate::args::{Backend, ModeName, Run};
use crate::failure::{self, Done, input, say_notes};
use crate::{model, modes, output};

pub fn run(args: &Run, quiet: bool, threads: Option<u16>) -> Done {
    if let Some(path) = &args.outputs {
        let given = args.inputs.iter().chain(&args.params.path);
        let read: Vec<&Path> =
            std::iter::once(&args.model.model).chain(given).map(PathBuf::as_path).collect();
        output::differs(path, &read)?;
    }
    let float = modes::float(args.mode.dtype);
    let model = model::load(&args.model, float, DEFAULT_BATCH)?;
    let (derived, _) = modes::apply(&model, &args.mode)?;
    // The interpreter is the reference.
    let reference = args.backend == Backend::Interp;
    let level = if reference { args.opt.level_or(Level::AsWritten) } else { args.opt.level() };
    let optimized = derived.optimize(level)?;
    let graph = optimized.graph();
    let mut given = given(args, &model, graph, quiet)?;
    let threads = Threads::new(threads.map(usize::from))?;
    for (name, x) in threads.install(|| drawn(args, &model, graph))? {
        given.entry(name).or_insert(x);
    }
    let expected = graph.bindings().map(|(v, name, _)| (name, graph.ty(v)));
    say_notes(&bind::adapt(expected, &mut given).map_err(input)?, quiet);
    bind::check(graph, &given)
        .map_err(|e| input(format_args!("{e}{}", how_to_give(args, &model, graph, &given))))?;
    let outside = bounds::problems(model.graph(), &given);
    if !outside.is_empty() {
        return Err(input(outside.join("\n")));
    }
    let (results, how) = match args.backend {
        Backend::Interp => {
            let start = Instant::now();
            (interpret(graph, &given).map_err(input)?, format!("interpreted in {:.1} ms", ms(start)))
        }
        Backend::Jit => {
            let mut program = optimized.compile(&CompileOptions { threads, ..CompileOptions::default() })?;
            let start = Instant::now();
            let results = program.run(&given)?;
            (results, format!("compiled in {:.1} ms, run in {:.1} ms", program.compile_ms(), ms(start)))
        }
    };
    if !quiet {
        failure::say(&format!("`{}` {how}", graph.name));
    }
    match &args.outputs {
        Some(path) => {
            let metadata = BTreeMap::from([("graph".to_owned(), graph.name.clone())]);
            output::write(path, &arrays::to_bytes(&results, &metadata).map_err(input)?)
        }
        None => failure::print(&summary(graph, &results)),
    }
}

/// The arrays of all files that are named: each array in one of them alone.
fn given(args: &Run, model: &Model, graph: &Graph, quiet: bool) -> Done<Arrays> {
    let mut files: Vec<(PathBuf, Arrays)> = Vec::new();
    if let Some(weights) = args.params.read()? {
        let (mut arrays, notes) = weights.of(model.graph())?;
        say_notes(&notes, quiet);
        // A step has states of its own too.
        let of_step = |name: &String| graph.leaf(name).is_some() && !arrays.contains_key(name);
        let more: Arrays = weights.arrays.into_iter().filter(|(name, _)| of_step(name)).collect();
        arrays.extend(more);
        files.push((weights.path, arrays));
    }
    for path in &args.inputs {
        files.push((path.clone(), read_arrays(path)?));
    }
    let (mut given, mut places) = (Arrays::new(), BTreeMap::new());
    for (path, arrays) in files {
        for (name, x) in arrays {
            if let Some(other) = places.insert(name.clone(), path.clone()) {
                let (name, other, path) = (quoted(&name), other.display(), path.display());
                return Err(input(format_args!("{name} is in {other} and in {path}: which is meant?")));
            }
            given.insert(name, x);
        }
    }
    Ok(given)
}

/// By which flags what is missing among `given` can be had, for the end of a message.
fn how_to_give(args: &Run, model: &Model, graph: &Graph, given: &Arrays) -> String {
    let missing: Vec<&str> =
        graph.bindings().map(|(_, name, _)| name).filter(|n| !given.contains_key(*n)).collect();
    let wrt = modes::wrt(&args.mode, model);
    let suffix = Suffix::tangent(model.graph(), &wrt);
    let tangents: Vec<String> = wrt.iter().map(|name| suffix.on(name)).collect();
    let is_tangent = |name: &&str| tangents.iter().any(|its| its == name);
    let mut hint = String::new();
    if missing.iter().any(|name| !is_tangent(name)) {
        hint += "\n--inputs F gives arrays by name, from a file in the form of safetensors or npz";
    }
    if missing.iter().any(is_tangent) {
        hint += "\n--tangent normal (or rademacher) draws the tangents";
    }
    hint
}

/// What needn't be given: parameters, states and the key, and tangents if they are to be drawn.
fn drawn(args: &Run, model: &Model, graph: &Graph) -> Done<Arrays> {
    let mut drawn = random::initial(graph, args.seed)?;
    let seeds = graph.bindings().filter(|(_, _, role)| **role == Role::Seed);
    drawn.extend(seeds.map(|(_, name, _)| (name.to_owned(), key(args.seed))));
    let Some(tangent) = args.mode.step.0.tangent() else { return Ok(drawn) };
    match args.mode.mode {
        ModeName::Jvp | ModeName::Hvp => {}
        // A step draws its own.
        ModeName::Step => return Ok(drawn),
        _ => return Err(input("--tangent is for the modes with tangents: jvp, hvp, step")),
    }
    let Some(direction) = Direction::ALL.into_iter().find(|d| d.name() == tangent) else {
        let known = Direction::ALL.map(Direction::name).join(" or ");
        return Err(input(format_args!("--tangent {tangent}: tangents are drawn from {known}")));
    };
    let draw = |b: &mut Builder, key, stream, ty: &Type| direction.draw(b, key, stream, ty);
    let wrt = modes::wrt(&args.mode, model);
    let suffix = Suffix::tangent(model.graph(), &wrt);
    let names: Vec<String> = wrt.iter().map(|name| suffix.on(name)).collect();
    let wanted = names.iter().filter_map(|name| Some((name.as_str(), graph.ty(graph.leaf(name)?).clone())));
    drawn.extend(random::arrays(wanted, draw, args.seed ^ random::DIRECTIONS)?);
    Ok(drawn)
}

/// The most elements that are shown one by one.
const MAX_SHOWN: usize = 8;

/// A line for each output: its value if it is a scalar or short, else its type and range.
fn summary(graph: &Graph, results: &Arrays) -> String {
    let width = graph.outputs.iter().map(|o| o.name.len()).max().unwrap_or(0);
    let mut out = String::new();
    for output in &graph.outputs {
        let Some(x) = results.get(&output.name) else { continue };
        let _ = writeln!(out, "{:<width$} = {}", output.name, describe(x));
    }
    out
}

fn describe(x: &Tensor) -> String {
    let (ty, values) = (x.ty(), x.to_f64());
    match values.as_slice() {
        [one] if ty.rank() == 0 => exact(ty.dtype, *one).unwrap_or_else(|| one.to_string()),
        [] => format!("{ty}"),
        few if ty.rank() == 1 && few.len() <= MAX_SHOWN => {
            let shown: Vec<String> =
                few.iter().map(|x| exact(ty.dtype, *x).unwrap_or_else(|| format!("{x:?}"))).collect();
            format!("[{}]", shown.join(", "))
        }
        all if ty.dtype == DType::Bool => {
            let count = all.iter().filter(|x| **x != 0.0).count();
            format!("{ty}, {count} of {} true", all.len())
        }
        all if all.iter().all(|x| x.is_nan()) => format!("{ty}, all NaN"),
        all => {
            let low = all.iter().copied().fold(f64::INFINITY, f64::min);
            let high = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let mean = all.iter().sum::<f64>() / all.len() as f64;
            let bad = all.iter().filter(|v| !v.is_finite()).count();
            let note = if bad > 0 { format!(", {bad} not finite") } else { String::new() };
            let digits = if ty.dtype.is_float() { 6 } else { 0 };
            format!("{ty} from {low:.digits$} to {high:.digits$}, mean {mean:.6}{note}")
        }
    }
}

/// An integer or a truth value, which `x` stands for; `None` if elements of type `dtype` are neither.
fn exact(dtype: DType, x: f64) -> Option<String> {
    match dtype {
        DType::Bool => Some((x != 0.0).to_string()),
        DType::I32 | DType::U32 => Some(format!("{x:.0}")),
        DType::F32 | DType::F64 => None,
    }
}
