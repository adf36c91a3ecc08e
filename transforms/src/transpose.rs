//! Linear graphs run backwards.

use fgc_ir::{Builder, Graph, OpRules, OutputKind, Role, Value, ops::Operand};

use crate::error::{PassError, Passed};
use crate::names::{Suffix, cotangent_marks, leaves};

/// The transpose of `g`, which is linear in the leaves `wrt` with the others fixed.
///
/// For each output `NAME` that depends on them the result has an input `NAME.cotangent`; for
/// each of `wrt` an output `NAME.cotangent`. The other leaves stay.
pub fn transpose(g: &Graph, wrt: &[&str]) -> Passed {
    let suffix = Suffix::cotangent(g, wrt);
    let wrt = leaves(g, wrt, true)?;
    let depends = g.dependents(&wrt);
    let mut b = Builder::new(format!("{}.transpose", g.name));
    let independent: Vec<bool> = depends.iter().map(|d| !d).collect();
    let known = b.inline(g, &independent, |_, _| Ok(None))?;

    let mut cotangents: Vec<Option<Value>> = vec![None; g.len()];
    for output in g.outputs.iter().filter(|o| depends[o.value.index()]) {
        let ct = b.bound_as(&suffix.on(&output.name), Role::Input, g.ty(output.value).clone())?;
        name_cotangent(&mut b, g, output.value, ct);
        let at = &mut cotangents[output.value.index()];
        *at = b.sum_options(*at, Some(ct))?;
    }
    for v in g.values().rev().filter(|v| depends[v.index()]) {
        let Some(ct) = cotangents[v.index()] else { continue };
        name_cotangent(&mut b, g, v, ct);
        if wrt.binary_search(&v).is_ok() {
            continue;
        }
        let fail = PassError::at(g, v, "the transpose");
        let args = &g.node(v).args;
        let operand =
            |a: &Value| known[a.index()].map_or_else(|| Operand::Linear(g.ty(*a).clone()), Operand::Known);
        let operands: Vec<Operand> = args.iter().map(operand).collect();
        let outer = b.set_span(g.span(v));
        let before = b.graph().len();
        let parts = g.node(v).op.transpose(&mut b, ct, &operands).map_err(&fail)?;
        for (a, part) in args.iter().zip(parts) {
            if depends[a.index()] {
                let at = cotangents[a.index()];
                cotangents[a.index()] = b.sum_options(at, part).map_err(&fail)?;
            }
        }
        for new in before..b.graph().len() {
            b.mark(Value::new(new), &cotangent_marks(g.label(v)));
        }
        b.set_span(outer);
    }
    for v in wrt {
        let Some((name, _)) = g.binding(v) else { continue };
        let name = suffix.on(name);
        let ct = cotangents[v.index()].map_or_else(|| b.zeros(g.ty(v).clone()), Ok)?;
        b.output(name, OutputKind::Value, ct);
    }
    Ok(b.finish()?)
}

/// Calls `ct` after the tangent `v` that it is the cotangent of.
fn name_cotangent(b: &mut Builder, g: &Graph, v: Value, ct: Value) {
    let label = g.label(v);
    match &label.name {
        Some(name) => b.label(ct, name, &cotangent_marks(label)),
        None => b.mark(ct, &cotangent_marks(label)),
    }
}
