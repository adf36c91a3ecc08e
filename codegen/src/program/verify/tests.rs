//! Damaged programs are found, each by the rule that it breaks.

use fgc_ir::ops::{Dot, Index, Linalg};
use fgc_ir::scalar::Float;
use fgc_ir::{Builder, DType, Graph, OutputKind, Role, Type};

use super::*;
use crate::isa::Isa;
use crate::lower::lower;
use crate::passes;
use crate::program::{Fusion, Source};

/// A product with an epilogue that stores and reduces, and a loop with a reduction of its own.
fn graph() -> Graph {
    let mut b = Builder::new("g");
    let mut bound = |name: &str, shape: &[usize]| {
        b.bound(name, Role::Input, Type::new(DType::F32, shape.to_vec())).expect("a leaf")
    };
    let (x, w, z) = (bound("x", &[64, 32]), bound("w", &[32, 48]), bound("z", &[300]));
    let dot = Dot { batch: vec![], contract: vec![(1, 0)] };
    let y = b.push(dot, &[x, w]).expect("a product");
    let e = b.exp(y);
    let s = b.push(Reduce::sum(&[0]), &[e]).expect("a sum");
    let u = b.exp(z);
    let t = b.push(Reduce::sum(&[0]), &[u]).expect("a sum");
    for (name, v) in [("e", e), ("s", s), ("u", u), ("t", t)] {
        b.output(name, OutputKind::Value, v);
    }
    b.finish().expect("a graph")
}

fn program() -> Program {
    let program = passes::run(lower(&graph(), Fusion::All), Fusion::All, Isa::best());
    verify(&program).expect("a program as it is made");
    program
}

fn nest(program: &mut Program) -> &mut Loop {
    let mut loops = program.kernels.iter_mut().filter_map(|kernel| match kernel {
        Kernel::Loop(nest) if !nest.stores.is_empty() => Some(nest),
        _ => None,
    });
    loops.next().expect("a loop that stores")
}

fn sums(program: &mut Program) -> &mut Contract {
    let mut sums = program.kernels.iter_mut().filter_map(|kernel| match kernel {
        Kernel::Contract(sums) => Some(sums),
        _ => None,
    });
    sums.next().expect("a contraction")
}

fn epilogue(program: &mut Program) -> &mut Loop {
    &mut sums(program).epilogue.as_mut().expect("an epilogue").nest
}

fn load(nest: &mut Loop) -> &mut Source {
    let mut loads = nest.steps.iter_mut().filter_map(|(step, _)| match step {
        Step::Load(source) => Some(source),
        _ => None,
    });
    loads.next().expect("a load")
}

/// A program, damaged, and what the verifier says of it.
#[track_caller]
fn check_found(damage: impl FnOnce(&mut Program), said: &str) {
    let mut program = program();
    damage(&mut program);
    let error = verify(&program).expect_err(said).to_string();
    assert!(error.contains(said), "{error}, expected: {said}");
}

#[test]
fn buffers_and_views() {
    check_found(|p| load(nest(p)).buffer = BufferId(999), "there is no buffer 999");
    check_found(|p| load(nest(p)).view.offset += 1, "a view that leaves buffer");
    check_found(|p| load(nest(p)).view.strides = vec![-1], "a view that leaves buffer");
    check_found(|p| load(nest(p)).view.strides.clear(), "a view of buffer");
    check_found(|p| p.labels = vec![None; 99], "labels of no buffers");
}

#[test]
fn loops() {
    let cycle = |p: &mut Program| {
        let nest = nest(p);
        let last = nest.steps.len() - 1;
        let Step::Apply { args, .. } = &mut nest.steps[last].0 else { panic!("an operation") };
        args[0] = last;
    };
    check_found(cycle, "which aren't all earlier");
    check_found(|p| nest(p).steps[0].1 = DType::F64, "loads f32[300]");
    check_found(|p| nest(p).steps[1].1 = DType::I32, "step 1 is i32, but computes f32");
    check_found(|p| nest(p).shape = Shape::from([299]), "loads f32[300]");
    check_found(|p| nest(p).stores[0].0 = 9, "there is no step 9");
    check_found(|p| nest(p).values[0].0 = 9, "there is no step 9");
    check_found(|p| nest(p).steps.push((Step::Index(1), DType::I32)), "an index along dimension 1");
    let wider = |p: &mut Program| {
        let to = nest(p).stores[0].1.buffer;
        p.buffers[to.0].ty.dtype = DType::F64;
    };
    check_found(wider, "but is stored as f64");
    let larger = |p: &mut Program| {
        let (.., to) = nest(p).reductions[0];
        p.buffers[to.0].ty.shape = Shape::from([7]);
    };
    check_found(larger, "fills buffer");
    let integer = |p: &mut Program| {
        let (.., to) = nest(p).reductions[0];
        p.buffers[to.0].ty.dtype = DType::I32;
    };
    check_found(integer, "is stored as i32");
    let axes = |p: &mut Program| {
        let mut other = nest(p).reductions[0].clone();
        other.1.axes.clear();
        nest(p).reductions.push(other);
    };
    check_found(axes, "reductions over [] and [0]");
    let split = |p: &mut Program| {
        nest(p).reductions.clear();
        nest(p).split = Some(4);
    };
    check_found(split, "a split of no reductions");
}

#[test]
fn contractions() {
    check_found(|p| sums(p).terms.clear(), "a result without terms");
    check_found(|p| sums(p).results.clear(), "a contraction without results");
    check_found(|p| sums(p).terms[0].result = 1, "term 0 is of result 1");
    check_found(|p| sums(p).terms[0].args.reverse(), "term 0");
    check_found(|p| sums(p).plan = None, "a contraction without a plan");
    let other = |p: &mut Program| {
        let plan = sums(p).plan.as_mut().expect("a plan");
        std::sync::Arc::make_mut(plan).set_stored(&[true]);
    };
    check_found(other, "a plan of another contraction");
    check_found(|p| epilogue(p).shape = Shape::from([32, 96]), "of 64 rows and 48 columns");
    check_found(|p| load(epilogue(p)).view.strides = vec![1, 64], "reads a result at other positions");
    check_found(|p| epilogue(p).reductions[0].1.axes = vec![1], "reduces over columns");
    let slots = |p: &mut Program| {
        let (.., to) = epilogue(p).reductions[0];
        p.buffers[to.0].ty.shape = Shape::from([48, 1000]);
    };
    check_found(slots, "fills buffer");
}

#[test]
fn what_is_made_before_planning_has_no_plan() {
    let program = program();
    let error = verify_kernels(&program, &program.kernels, Stage::Unplanned).expect_err("a plan");
    assert!(error.to_string().contains("a plan before planning"), "{error}");
}

#[test]
fn windows_and_gathers() {
    let mut b = Builder::new("g");
    let x = b.bound("x", Role::Input, Type::new(DType::F32, [5, 3])).expect("a leaf");
    let i = b.bound("i", Role::Input, Type::new(DType::I32, [4])).expect("a leaf");
    let y = b.push(Index::gather(0, 0), &[x, i]).expect("a gather");
    b.output("y", OutputKind::Value, y);
    let mut program =
        passes::run(lower(&b.finish().expect("a graph"), Fusion::All), Fusion::All, Isa::best());
    verify(&program).expect("a program as it is made");
    let Kernel::Gather(_, args, out) = &mut program.kernels[0] else { panic!("a gather") };
    let (out, args) = (*out, args.clone());
    let of_axis = Kernel::Gather(Index::gather(0, 7), args, out);
    program.buffers[out.0].ty.shape = Shape::from([3, 4]);
    assert!(verify(&program).expect_err("a shape").to_string().contains("a result of f32[4, 3]"));
    program.kernels[0] = of_axis;
    assert!(verify(&program).expect_err("an axis").to_string().contains("axis 7"));
}

#[test]
fn linear_algebra() {
    let mut b = Builder::new("g");
    let a = b.bound("a", Role::Input, Type::new(DType::F32, [3, 3])).expect("a leaf");
    let y = b.push(Linalg::Cholesky, &[a]).expect("a factor");
    b.output("y", OutputKind::Value, y);
    let program = passes::run(lower(&b.finish().expect("a graph"), Fusion::All), Fusion::All, Isa::best());
    verify(&program).expect("a program as it is made");
    let damaged = |damage: &dyn Fn(&mut Linalg, &mut Source, &mut Type)| {
        let mut program = program.clone();
        let Kernel::Linalg(op, args, out) = &mut program.kernels[0] else { panic!("linear algebra") };
        damage(op, &mut args[0], &mut program.buffers[out.0].ty);
        verify(&program).expect_err("damage").to_string()
    };
    // Sums in `f64` are those of windows and gathers alone.
    let error = damaged(&|_, _, ty| ty.dtype = DType::F64);
    assert!(error.contains("a result of f32[3, 3] in buffer 1, f64[3, 3]"), "{error}");
    let error = damaged(&|_, a, _| a.view.shape = Shape::from([3, 2]));
    assert!(error.contains("takes square matrices"), "{error}");
    let error = damaged(&|op, _, _| *op = Linalg::solve(false, false));
    assert!(error.contains("takes 2 operands, not 1"), "{error}");
}

#[test]
fn order_and_outputs() {
    check_found(|p| p.kernels.reverse(), "is read before it is written");
    check_found(|p| p.kernels.clear(), "which isn't written");
    let onto_itself = |p: &mut Program| {
        let to = nest(p).stores[0].1.clone();
        *load(nest(p)) = to;
    };
    check_found(onto_itself, "is read before it is written");
    let in_place = |p: &mut Program| {
        let from = load(nest(p)).clone();
        nest(p).stores[0].1 = from;
    };
    check_found(in_place, "is read and written");
    let bound = |p: &mut Program| {
        let to = nest(p).stores[0].1.buffer;
        p.buffers[to.0].origin = Origin::Bound("u".to_owned());
    };
    check_found(bound, "is written, but bound or constant");
    check_found(|p| p.outputs[0].ty.dtype = DType::I32, "isn't the first elements");
    check_found(|p| p.outputs[0].buffer = BufferId(999), "isn't the first elements");
}
