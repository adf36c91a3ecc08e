//! Derivatives where a slope isn't finite: a zero tangent or cotangent stays zero whatever slope it meets, so that
//! what is a number in forward mode is the same number in reverse mode.

mod awkward;
mod cases;

use fgc_codegen::{Executable, Fusion};
use fgc_ir::ops::Select;
use fgc_ir::{Arrays, Builder, DType, Graph, Leaf, OutputKind, Tensor, Type, interpret};
use fgc_tests::laws::passed;
use fgc_tests::numeric::{get, part};
use fgc_transforms::eqsat::{self, optimise};
use fgc_transforms::{Suffix, grad, grad_of, hvp, jvp, jvp_many};

/// Ways to run a graph: interpreted, and compiled; as it is and rewritten, in kernels of their own and fused.
#[derive(Clone, Copy, Debug)]
enum Way {
    Interpreted { opt: u8 },
    Compiled { opt: u8 },
}

const WAYS: [Way; 5] = [
    Way::Interpreted { opt: 0 },
    Way::Interpreted { opt: 1 },
    Way::Compiled { opt: 0 },
    Way::Compiled { opt: 1 },
    Way::Compiled { opt: 2 },
];

impl Way {
    fn run(self, g: &Graph, inputs: &Arrays) -> Result<Arrays, String> {
        let (Way::Interpreted { opt } | Way::Compiled { opt }) = self;
        let shown = |e: &dyn std::fmt::Display| format!("{self:?}: {e}");
        let rewritten = match opt {
            0 => g.clone(),
            _ => optimise(g, &eqsat::Limits::default()).map_err(|e| shown(&e))?.0,
        };
        let inputs: Arrays = inputs
            .iter()
            .filter(|(name, _)| rewritten.leaf(name).is_some())
            .map(|(name, x)| (name.clone(), x.clone()))
            .collect();
        if let Way::Interpreted { .. } = self {
            return interpret(&rewritten, &inputs).map_err(|e| shown(&e));
        }
        let fusion = if opt < 2 { Fusion::None } else { Fusion::All };
        let mut executable = Executable::compile_with(&rewritten, fusion).map_err(|e| shown(&e))?;
        executable.run(&inputs).map_err(|e| shown(&e))
    }
}

/// Every parameter's directions along each element of all of them, in a leading dimension; and how many there are.
fn basis(g: &Graph, wrt: &[&str]) -> (Arrays, usize) {
    let types: Vec<&Type> = wrt.iter().map(|name| g.ty(g.leaf(name).expect("a leaf"))).collect();
    let count = types.iter().map(|ty| ty.elements()).sum();
    let mut before = 0;
    let mut all = Arrays::new();
    for (name, ty) in wrt.iter().zip(types) {
        let n = ty.elements();
        let along = ty.reshaped(ty.shape.prepend(count));
        let one = |i: usize| f64::from(i / n.max(1) == before + i % n.max(1));
        all.insert((*name).to_owned(), Tensor::generate(&along, one));
        before += n;
    }
    (all, count)
}

/// `inputs` with the directions of [`basis`] for the tangents of `g`.
fn along(g: &Graph, wrt: &[&str], inputs: &Arrays) -> (Arrays, usize) {
    let (directions, count) = basis(g, wrt);
    let suffix = Suffix::tangent(g, wrt);
    let mut all = inputs.clone();
    all.extend(directions.into_iter().map(|(name, x)| (suffix.on(&name), x)));
    (all, count)
}

/// The derivatives of the loss by each element of `wrt`, by forward mode.
fn forward(g: &Graph, wrt: &[&str], inputs: &Arrays, way: Way) -> Result<Vec<f64>, String> {
    let (inputs, count) = along(g, wrt, inputs);
    let out = way.run(&passed(jvp_many(g, wrt, count))?, &inputs)?;
    let loss = &g.loss().expect("a loss").name;
    Ok(get(&out, &Suffix::tangent(g, wrt).on(loss))?.to_f64())
}

fn all(out: &Arrays, names: impl Iterator<Item = String>) -> Result<Vec<f64>, String> {
    let each = names.map(|name| Ok(get(out, &name)?.to_f64()));
    Ok(each.collect::<Result<Vec<_>, String>>()?.concat())
}

/// The same by reverse mode.
fn reverse(g: &Graph, wrt: &[&str], inputs: &Arrays, way: Way) -> Result<Vec<f64>, String> {
    let out = way.run(&passed(grad(g, wrt))?, inputs)?;
    let suffix = Suffix::grad(g, wrt);
    all(&out, wrt.iter().map(|name| suffix.on(name)))
}

/// The Hessian of the loss, row by row: forward over reverse, reverse over forward, forward over forward, and reverse
/// over reverse.
fn hessians(g: &Graph, wrt: &[&str], inputs: &Arrays, way: Way) -> Result<[Vec<f64>; 4], String> {
    let (directions, count) = basis(g, wrt);
    let loss = g.loss().expect("a loss").name.clone();
    let (tangent, gradient) = (Suffix::tangent(g, wrt), Suffix::grad(g, wrt));
    let first = passed(jvp(g, wrt))?;
    let graphs = [
        passed(hvp(g, wrt))?,
        passed(grad_of(&first, &tangent.on(&loss), wrt))?,
        passed(jvp_many(&first, wrt, count))?,
    ];
    let mut found = [vec![], vec![], vec![], vec![]];
    for k in 0..count {
        let mut inputs = inputs.clone();
        let direction = |name: &str| {
            let ty = g.ty(g.leaf(name).expect("a leaf"));
            let values = part(&directions[name], k);
            Tensor::generate(ty, |i| values[i])
        };
        inputs.extend(wrt.iter().map(|name| (tangent.on(name), direction(name))));
        let out = way.run(&graphs[0], &inputs)?;
        found[0].extend(all(&out, wrt.iter().map(|name| format!("{name}.hvp")))?);
        let out = way.run(&graphs[1], &inputs)?;
        let suffix = Suffix::grad(&first, wrt);
        found[1].extend(all(&out, wrt.iter().map(|name| suffix.on(name)))?);
        let twice = along(&first, wrt, &inputs).0;
        let out = way.run(&graphs[2], &twice)?;
        found[2].extend(get(&out, &Suffix::tangent(&first, wrt).on(&tangent.on(&loss)))?.to_f64());
        // The gradient of ⟨gradient, direction⟩: of the k-th element of the gradient, which is chosen.
        let chosen = chosen(&passed(grad(g, wrt))?, wrt, &gradient, k)?;
        let out = way.run(&passed(grad_of(&chosen, "chosen", wrt))?, &inputs)?;
        let suffix = Suffix::grad(&chosen, wrt);
        found[3].extend(all(&out, wrt.iter().map(|name| suffix.on(name)))?);
    }
    Ok(found)
}

/// The gradient graph `g` with an output `chosen`: element `k` of all gradients.
fn chosen(g: &Graph, wrt: &[&str], suffix: &Suffix, k: usize) -> Result<Graph, String> {
    let shown = |e: fgc_ir::TypeError| e.to_string();
    let mut b = Builder::new(g.name.clone());
    let copies = b.inline(g, &vec![true; g.len()], |_, _| Ok(None)).map_err(shown)?;
    let mut before = 0;
    for output in &g.outputs {
        let Some(x) = copies[output.value.index()] else { continue };
        b.output(&output.name, output.kind, x);
        if !wrt.iter().any(|name| suffix.on(name) == output.name) {
            continue;
        }
        let ty = b.ty(x).clone();
        if (before..before + ty.elements()).contains(&k) {
            let one = Tensor::generate(&ty.cast(DType::Bool), |i| f64::from(before + i == k));
            let mask = b.push(Leaf::array(&one), &[]).map_err(shown)?;
            let zero = b.zeros(ty.clone()).map_err(shown)?;
            let kept = b.push(Select, &[mask, x, zero]).map_err(shown)?;
            let sum = b.sum(kept, &(0..ty.rank()).collect::<Vec<_>>()).map_err(shown)?;
            b.output("chosen", OutputKind::Value, sum);
        }
        before += ty.elements();
    }
    b.finish().map_err(shown)
}

fn assert_none(failures: Vec<String>) {
    let (count, some) = (failures.len(), &failures[..failures.len().min(12)]);
    assert!(failures.is_empty(), "{count} fail:\n{}", some.join("\n\n"));
}
