//! What holds of every graph.
//!
//! 1. Every value has a node, a label and a span.
//! 2. Operands are defined before their users.
//! 3. The type of a value is the one that its operation infers from its operands.
//! 4. Names of bound leaves, outputs and labels are made of letters, digits, `_` and `.`; marks
//!    of `'` and `~`; a label isn't only digits.
//! 5. No two bound leaves have the same name; neither have two outputs; neither have two named
//!    values the same label.
//! 6. There is at most one loss, and it is a floating-point scalar.
//! 7. An update is of a parameter or state of its name and type.
//! 8. A local loss is a floating-point scalar.
//! 9. A site is a value of floats; no two have the same name or are the same value.
//!
//! Every pass takes a graph of which this holds and gives one back.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::graph::{Graph, OutputKind, Value};
use crate::ops::{OpRules, Role};

/// A rule that a graph breaks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifyError {
    /// The value concerned, if it is one.
    pub value: Option<Value>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            Some(v) => write!(f, "{v:?}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for VerifyError {}

/// Whether `name` can be the name of a leaf, an output or a graph.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
}

/// Every way in which `g` breaks the rules above.
pub fn verify(g: &Graph) -> Result<(), Vec<VerifyError>> {
    let mut errors = Vec::new();
    let mut fail = |value, message| errors.push(VerifyError { value, message });
    if g.nodes.len() != g.labels.len() || g.nodes.len() != g.spans.len() {
        fail(None, format!("{} nodes, {} labels, {} spans", g.nodes.len(), g.labels.len(), g.spans.len()));
        return Err(errors);
    }
    values(g, &mut fail);
    names(g, &mut fail);
    outputs(g, &mut fail);
    local_losses(g, &mut fail);
    sites(g, &mut fail);
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn values(g: &Graph, fail: &mut impl FnMut(Option<Value>, String)) {
    for v in g.values() {
        let node = g.node(v);
        if let Some(a) = node.args.iter().find(|a| **a >= v) {
            fail(Some(v), format!("operand {a:?} isn't defined before"));
            continue;
        }
        match node.op.infer(&g.arg_types(v)) {
            Err(e) => fail(Some(v), e.message),
            Ok(ty) if ty != node.ty => {
                fail(Some(v), format!("`{}` gives {ty}, not {}", node.op.name(), node.ty))
            }
            Ok(_) => {}
        }
    }
}

fn names(g: &Graph, fail: &mut impl FnMut(Option<Value>, String)) {
    let mut leaves = HashSet::new();
    for (v, name, _) in g.bindings() {
        if !is_name(name) {
            fail(Some(v), format!("`{name}` can't be a name"));
        }
        if !leaves.insert(name) {
            fail(Some(v), format!("there are two leaves called `{name}`"));
        }
    }
    let mut labels = HashSet::new();
    for v in g.values() {
        let label = g.label(v);
        if label.marks.chars().any(|c| c != '\'' && c != '~') {
            fail(Some(v), format!("`{}` aren't marks", label.marks));
        }
        let Some(name) = &label.name else { continue };
        if !is_name(name) || name.chars().all(|c| c.is_ascii_digit()) {
            fail(Some(v), format!("`{name}` can't be a label"));
        }
        if !labels.insert(label) {
            fail(Some(v), format!("there are two values called `{name}{}`", label.marks));
        }
    }
}

fn local_losses(g: &Graph, fail: &mut impl FnMut(Option<Value>, String)) {
    for v in &g.local_losses {
        if v.index() >= g.len() {
            fail(None, format!("a local loss is {v:?}, which doesn't exist"));
        } else if !(g.ty(*v).dtype.is_float() && g.ty(*v).rank() == 0) {
            fail(Some(*v), format!("a local loss is {}, not a floating-point scalar", g.ty(*v)));
        }
    }
}

fn sites(g: &Graph, fail: &mut impl FnMut(Option<Value>, String)) {
    let (mut names, mut values) = (HashSet::new(), HashSet::new());
    for (name, v) in &g.sites {
        if !is_name(name) {
            fail(None, format!("`{name}` can't be the name of a site"));
        }
        if !names.insert(name) {
            fail(None, format!("there are two sites called `{name}`"));
        }
        if v.index() >= g.len() {
            fail(None, format!("site `{name}` is {v:?}, which doesn't exist"));
        } else if !values.insert(*v) {
            fail(Some(*v), format!("site `{name}` is a site already"));
        } else if !g.ty(*v).dtype.is_float() {
            fail(Some(*v), format!("site `{name}` is {}, not of floats", g.ty(*v)));
        }
    }
}

fn outputs(g: &Graph, fail: &mut impl FnMut(Option<Value>, String)) {
    let mut seen = HashSet::new();
    let is_kept = |role: &Role| matches!(role, Role::Param(_) | Role::State(_));
    let kept = g.bindings().filter(|(_, _, role)| is_kept(role)).map(|(v, name, _)| (name, v));
    let kept: HashMap<&str, Value> = kept.collect();
    for output in &g.outputs {
        let name = &output.name;
        if !is_name(name) {
            fail(None, format!("`{name}` can't be the name of an output"));
        }
        if !seen.insert(name) {
            fail(None, format!("there are two outputs called `{name}`"));
        }
        if output.value.index() >= g.len() {
            fail(None, format!("output `{name}` is {:?}, which doesn't exist", output.value));
            continue;
        }
        let ty = g.ty(output.value);
        if output.kind == OutputKind::Loss && !(ty.dtype.is_float() && ty.rank() == 0) {
            fail(Some(output.value), format!("the loss is {ty}, not a floating-point scalar"));
        }
        if output.kind == OutputKind::Update {
            match kept.get(name.as_str()) {
                None => {
                    fail(None, format!("`{name}` is updated but there is no such parameter or state"));
                }
                Some(&v) if g.ty(v) != ty => {
                    fail(Some(output.value), format!("`{name}` is {}, but its update is {ty}", g.ty(v)))
                }
                Some(_) => {}
            }
        }
    }
    if g.outputs.iter().filter(|o| o.kind == OutputKind::Loss).count() > 1 {
        fail(None, "there are two losses".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::Builder;
    use crate::graph::{Label, Output};
    use crate::ops::{Binary, Init};
    use crate::real::Real;
    use crate::types::{DType, Type};

    /// Breaks a valid graph.
    type Spoil = fn(&mut Graph);

    fn valid() -> Graph {
        let mut b = Builder::new("g");
        let ty = Type::scalar(DType::F32);
        let x = b.bound("x", Role::Input, ty.clone()).unwrap();
        let s = b.bound("s", Role::State(Init::Constant(Real::new(0.0))), ty).unwrap();
        let y = b.push(Binary::Add, &[x, s]).unwrap();
        b.output("loss", OutputKind::Loss, y);
        b.output("s", OutputKind::Update, x);
        b.finish().unwrap()
    }

    /// The message about a valid graph after `spoil`.
    fn broken(spoil: impl FnOnce(&mut Graph)) -> String {
        let mut g = valid();
        assert_eq!(verify(&g), Ok(()));
        spoil(&mut g);
        let errors = verify(&g).expect_err("the rule holds");
        errors.iter().map(VerifyError::to_string).collect::<Vec<_>>().join("; ")
    }

    fn output(name: &str, kind: OutputKind) -> Output {
        Output { name: name.to_owned(), kind, value: Value::new(0) }
    }

    #[test]
    fn every_rule_has_a_graph_that_breaks_it() {
        let cases: [(&str, Spoil); 16] = [
            ("3 nodes, 2 labels, 3 spans", |g| g.labels.truncate(2)),
            ("operand %2 isn't defined before", |g| g.nodes[2].args[0] = Value::new(2)),
            ("`add` gives f32[], not f64[]", |g| g.nodes[2].ty.dtype = DType::F64),
            ("takes 2 operands, not 1", |g| g.nodes[2].args.truncate(1)),
            ("`#` aren't marks", |g| g.labels[2].marks = "#".to_owned()),
            ("`12` can't be a label", |g| {
                g.labels[2] = Label { name: Some("12".into()), ..Label::default() }
            }),
            ("two values called `x`", |g| g.labels[2] = g.labels[0].clone()),
            ("two leaves called `x`", |g| g.nodes[1] = g.nodes[0].clone()),
            ("`a b` can't be the name", |g| g.outputs[0].name = "a b".to_owned()),
            ("two outputs called `loss`", |g| g.outputs.push(output("loss", OutputKind::Value))),
            ("output `loss` is %9, which doesn't exist", |g| g.outputs[0].value = Value::new(9)),
            ("the loss is i32[], not a floating-point scalar", |g| g.nodes[2].ty.dtype = DType::I32),
            ("two losses", |g| g.outputs.push(output("other", OutputKind::Loss))),
            ("`t` is updated but there is no such parameter", |g| g.outputs[1].name = "t".to_owned()),
            ("`x` is updated but there is no such parameter", |g| g.outputs[1].name = "x".to_owned()),
            ("`s` is f32[], but its update is f64[]", |g| g.nodes[0].ty.dtype = DType::F64),
        ];
        for (message, spoil) in cases {
            let found = broken(spoil);
            assert!(found.contains(message), "expected `{message}` in `{found}`");
        }
    }
}
