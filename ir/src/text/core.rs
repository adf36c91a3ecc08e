//! Makes a graph of its core form.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::ast::{CoreGraph, CoreLine, Ident, ValueRef};
use super::is_number;
use super::parser::MAX_ERRORS;
use crate::attrs::{AttrError, AttrReader, Attrs};
use crate::diag::Diagnostic;
use crate::diag::nearest;
use crate::graph::{Graph, Label, Node, Output, OutputKind, Span, Value};
use crate::ops::{Init, Leaf, Op, OpRules, Role};
use crate::real::Real;
use crate::types::{DType, Type, TypeError};
use crate::verify::{is_name, verify};

/// How many of the values defined last a misspelt one is compared with.
const NEAR_LINES: usize = 1000;

/// The graph that `core` writes down: a node for each of its lines, in their order, with nothing
/// shared and nothing dropped. If `float` is `f64`, every `f32` in it is read as `f64`.
///
/// # Errors
/// Every line that isn't an operation on values defined above it of the type that it states,
/// every name that is given twice, and whatever else [`verify`] finds.
pub fn build(core: &CoreGraph, float: DType) -> Result<Graph, Vec<Diagnostic>> {
    let mut reader = Reader {
        core,
        float,
        graph: Graph { name: core.name.name.clone(), ..Graph::default() },
        types: Vec::new(),
        defined: HashMap::new(),
        bound: HashMap::new(),
        outputs: HashMap::new(),
        loss: None,
        errors: Vec::new(),
    };
    for line in &core.lines {
        reader.line(line);
        if reader.errors.len() >= MAX_ERRORS {
            break;
        }
    }
    if reader.errors.is_empty() {
        // What only the whole graph shows: the types of the loss and of what is updated.
        let broken = verify(&reader.graph).err().into_iter().flatten();
        let place = |v: Option<Value>| v.map_or(core.name.span, |v| reader.graph.span(v));
        reader.errors = broken.map(|e| Diagnostic::new(place(e.value), e.message)).take(MAX_ERRORS).collect();
    }
    if reader.errors.is_empty() { Ok(reader.graph) } else { Err(reader.errors) }
}

struct Reader<'a> {
    core: &'a CoreGraph,
    float: DType,
    /// Holds what `types` does only as long as there are no errors.
    graph: Graph,
    /// The stated type of each value, also of one with an error.
    types: Vec<Type>,
    /// The values defined so far, and where.
    defined: HashMap<&'a Label, (Value, Span)>,
    /// Where the leaves that the caller binds get their names.
    bound: HashMap<Arc<str>, Span>,
    /// Where the outputs get their names.
    outputs: HashMap<&'a str, Span>,
    loss: Option<Span>,
    errors: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    fn line(&mut self, line: &'a CoreLine) {
        match line {
            CoreLine::Node { target, op, attrs, attrs_span, args, ty: (dtype, dims), ty_span, span } => {
                let dtype = if *dtype == DType::F32 { self.float } else { *dtype };
                let ty = Type::new(dtype, dims.as_slice());
                let parsed = match ty.check_size() {
                    Ok(()) => self.op(op, attrs, *attrs_span, &ty),
                    Err(e) => self.fail(Diagnostic::new(*ty_span, e.message)),
                };
                let values: Vec<Option<Value>> = args.iter().map(|a| self.value(a)).collect();
                let values: Option<Vec<Value>> = values.into_iter().collect();
                if let (Some(parsed), Some(values)) = (parsed, values) {
                    match self.infer(&parsed, &values) {
                        Err(e) => self.mistyped(e, op, args, &values),
                        Ok(inferred) if inferred != ty => {
                            let message = format!("`{}` gives {inferred} here, not {ty}", op.name);
                            self.errors.push(Diagnostic::new(*ty_span, message));
                        }
                        Ok(_) => self.graph.nodes.push(Node { op: parsed, args: values, ty: ty.clone() }),
                    }
                }
                self.define(target, ty, *span);
            }
            CoreLine::Output { kind, name, value } => self.output(*kind, name, value),
            CoreLine::LocalLoss { value } => {
                if let Some(value) = self.value(value) {
                    self.graph.local_losses.push(value);
                }
            }
            CoreLine::Site { name, value } => {
                if let Some(value) = self.value(value) {
                    self.graph.sites.push((name.name.as_str().into(), value));
                }
            }
        }
    }

    fn fail<T>(&mut self, error: Diagnostic) -> Option<T> {
        self.errors.push(error);
        None
    }

    /// The operation that `name` and `attrs` spell.
    fn op(&mut self, name: &Ident, attrs: &Attrs, attrs_span: Span, ty: &Type) -> Option<Op> {
        let mut reader = AttrReader::new(attrs.clone());
        let parsed = match Op::parse(&name.name, &mut reader, ty) {
            Some(parsed) => parsed,
            None => {
                let error = Diagnostic::new(name.span, format!("unknown operation `{}`", name.name));
                return self.fail(match near_op(&name.name) {
                    Some(near) => error.help(format!("did you mean `{near}`?")),
                    None => error,
                });
            }
        };
        match parsed.and_then(|op| reader.finish().map(|()| op)) {
            Ok(op) => self.bind(&op, attrs_span).then_some(op),
            Err(AttrError(message)) => {
                // An attribute that is quoted may be of any length.
                let message: String = message.chars().take(MAX_MESSAGE).collect();
                let about = if message.contains(&format!("`{}`", name.name)) {
                    message
                } else {
                    format!("attributes of `{}`: {message}", name.name)
                };
                self.fail(Diagnostic::new(attrs_span, about))
            }
        }
    }

    /// Notes the name of a leaf that the caller binds; false if it can't have that name.
    fn bind(&mut self, op: &Op, span: Span) -> bool {
        let Some((name, _)) = op.binding() else { return true };
        if !is_name(name) {
            let error =
                Diagnostic::new(span, format!("`{}` can't be the name of a leaf", name.escape_debug()));
            self.errors.push(error.help("names are made of letters, digits, `_` and `.`"));
            return false;
        }
        match self.bound.entry(Arc::from(name)) {
            Entry::Vacant(entry) => {
                entry.insert(span);
                true
            }
            Entry::Occupied(entry) => {
                let error = Diagnostic::new(span, format!("a leaf is bound to `{name}` twice"));
                self.errors.push(error.also(*entry.get(), "first here"));
                false
            }
        }
    }

    /// The value that `r` refers to.
    fn value(&mut self, r: &ValueRef) -> Option<Value> {
        if let Some((value, _)) = self.defined.get(&r.label) {
            return Some(*value);
        }
        let shown = shown(&r.label);
        let targets = self.core.lines.iter().filter_map(|line| match line {
            CoreLine::Node { target, .. } => Some(target),
            CoreLine::Output { .. } | CoreLine::Site { .. } | CoreLine::LocalLoss { .. } => None,
        });
        if let Some(later) = targets.clone().find(|t| t.label == r.label) {
            let error = Diagnostic::new(r.span, format!("`{shown}` is used before it is defined"));
            return self.fail(error.also(later.span, "defined here"));
        }
        let error = Diagnostic::new(r.span, format!("unknown value `{shown}`"));
        let before = targets.filter(|t| t.span.start < r.span.start);
        let names: Vec<String> = before.rev().take(NEAR_LINES).map(|t| self::shown(&t.label)).collect();
        self.fail(match nearest(&shown, names.iter().map(String::as_str)) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error,
        })
    }

    fn infer(&self, op: &Op, args: &[Value]) -> Result<Type, TypeError> {
        let types: Vec<&Type> = args.iter().filter_map(|a| self.types.get(a.index())).collect();
        op.infer(&types)
    }

    /// Reports an operation on operands that don't fit, each with its type.
    fn mistyped(&mut self, error: TypeError, op: &Ident, args: &[ValueRef], values: &[Value]) {
        let blamed = error.arg.filter(|&k| k < args.len());
        let types = |k: usize| values.get(k).and_then(|v| self.types.get(v.index())).map(Type::to_string);
        let mut report = match blamed {
            Some(k) => Diagnostic::new(args[k].span, error.message).here(types(k).unwrap_or_default()),
            None => Diagnostic::new(op.span, error.message),
        };
        for (k, arg) in args.iter().enumerate().filter(|(k, _)| Some(*k) != blamed).take(3) {
            report = report.also(arg.span, types(k).unwrap_or_default());
        }
        self.errors.push(report);
    }

    fn define(&mut self, target: &'a ValueRef, ty: Type, span: Span) {
        let value = Value::new(self.types.len());
        self.types.push(ty);
        self.graph.labels.push(Label {
            name: target.label.name.clone().filter(|name| !is_number(name)),
            marks: target.label.marks.clone(),
        });
        self.graph.spans.push(span);
        if let Some((_, first)) = self.defined.insert(&target.label, (value, target.span)) {
            let error = Diagnostic::new(target.span, format!("`{}` is defined twice", shown(&target.label)));
            self.errors.push(error.also(first, "first here"));
        }
    }

    fn output(&mut self, kind: OutputKind, name: &'a Ident, value: &ValueRef) {
        if let Some(first) = self.outputs.insert(&name.name, name.span) {
            let error = Diagnostic::new(name.span, format!("two outputs are called `{}`", name.name));
            self.errors.push(error.also(first, "first here"));
        }
        if kind == OutputKind::Loss
            && let Some(first) = self.loss.replace(name.span)
        {
            self.errors.push(Diagnostic::new(name.span, "a graph has one loss").also(first, "first here"));
        }
        if let Some(value) = self.value(value) {
            self.graph.outputs.push(Output { name: name.name.clone(), kind, value });
        }
    }
}

/// The most characters of what is wrong with attributes.
const MAX_MESSAGE: usize = 240;

/// A value as it is written.
fn shown(label: &Label) -> String {
    format!("%{}{}", label.name.as_deref().unwrap_or(""), label.marks)
}

/// The operation that `name` was probably meant to be.
fn near_op(name: &str) -> Option<&'static str> {
    let zero = Init::Constant(Real::new(0.0));
    let bound = [Role::Input, Role::Param(zero), Role::State(zero), Role::Seed]
        .map(|role| Leaf::Bound { name: Arc::from(""), role, ty: Type::scalar(DType::F32) }.name());
    nearest(name, Op::samples().iter().map(|s| s.op.name()).chain(bound))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::Builder;
    use crate::diag::Sources;
    use crate::text::ast::Item;
    use crate::text::parser::parse;

    /// The graph that `text` holds.
    fn read(text: &str, float: DType) -> Result<Graph, Vec<Diagnostic>> {
        let mut sources = Sources::new();
        let file = sources.add("a.fg", text);
        let (file, errors) = parse(&sources, file);
        assert!(errors.is_empty(), "{text}\n{errors:?}");
        match &file.items[..] {
            [Item::Graph(core)] => build(core, float),
            items => panic!("{items:?}"),
        }
    }

    /// What is wrong with a graph of `lines`.
    fn errors(lines: &str) -> Vec<String> {
        let errors = read(&format!("graph g {{\n{lines}\n}}"), DType::F32).expect_err("a graph with errors");
        let text = |d: Diagnostic| d.message + &d.help.map(|h| format!("; {h}")).unwrap_or_default();
        errors.into_iter().map(text).collect()
    }

    #[test]
    fn reading_what_is_printed_gives_the_same_graph() {
        for sample in Op::samples() {
            let mut b = Builder::new("sample.of.op");
            let leaf =
                |(k, x): (usize, &crate::tensor::Tensor)| b.bound(&format!("x.{k}"), Role::Input, x.ty());
            let args: Vec<Value> =
                sample.args.iter().enumerate().map(leaf).collect::<Result<_, _>>().unwrap();
            let y = b.push(sample.op.clone(), &args).unwrap();
            b.mark(y, "'~");
            b.output("y", OutputKind::Value, y);
            let mut g = b.finish().unwrap();
            // Equal and unused values stay.
            for _ in 0..2 {
                g.nodes.push(g.nodes[y.index()].clone());
                g.labels.push(Label::default());
                g.spans.push(Span::default());
            }
            let text = g.to_string();
            let back = read(&text, DType::F32).unwrap_or_else(|e| panic!("{text}\n{e:?}"));
            assert_eq!(back, g, "{text}");
            assert_eq!(back.to_string(), text);
        }
    }

    #[test]
    fn any_distinct_numbers_name_values() {
        let text = "graph g {\n%7 = const[1.5] : f32[2]\n%3' = neg %7 : f32[2]\noutput y = %3'\n}";
        let g = read(text, DType::F32).unwrap();
        let printed =
            "graph g {\n  %0  = const[1.5] : f32[2]\n  %1' = neg %0 : f32[2]\n\n  output y = %1'\n}\n";
        assert_eq!(g.to_string(), printed);
        assert_eq!(g.span(Value::new(1)).start, 35);
    }

    #[test]
    fn single_precision_can_be_read_as_double() {
        let text = "graph g {\n%x = const[0.1] : f32[]\n%i = cast %x : i32[]\n}";
        let g = read(text, DType::F64).unwrap();
        assert_eq!(g.node(Value::new(0)).op, Leaf::constant(Type::scalar(DType::F64), 0.1).into());
        assert_eq!(g.ty(Value::new(1)).dtype, DType::I32);
    }

    #[test]
    fn what_is_wrong_is_reported() {
        let two = "%a = iota[dim=0] : f32[2]\n%long_name = iota[dim=0] : f32[3]\n";
        for (lines, expected) in [
            ("%y = ngg %a : f32[2]", "unknown operation `ngg`; did you mean `neg`?"),
            ("%y = paramm[\"x\"] : f32[2]", "unknown operation `paramm`; did you mean `param`?"),
            ("%y = neg %lang_name : f32[2]", "unknown value `%lang_name`; did you mean `%long_name`?"),
            ("%y = neg %z : f32[2]\n%z = neg %a : f32[2]", "`%z` is used before it is defined"),
            ("%y = neg %y : f32[2]", "`%y` is used before it is defined"),
            ("%a = neg %a : f32[2]", "`%a` is defined twice"),
            ("%y = neg[k=1] %a : f32[2]", "attributes of `neg`: unknown attribute `k`"),
            ("%y = iota : f32[2]", "attributes of `iota`: attribute `dim` is missing"),
            ("%y = neg %a : f32[3]", "`neg` gives f32[2] here, not f32[3]"),
            ("%y = add %a, %long_name : f32[2]", "the operands of `add` differ: f32[2] and f32[3]"),
            ("%y = add %a : f32[2]", "`add` takes 2 operands, not 1"),
            ("output y = %a\nmetric y = %a", "two outputs are called `y`"),
            ("loss y = %a\nloss z = %a", "a graph has one loss"),
            ("loss y = %a", "the loss is f32[2], not a floating-point scalar"),
            ("update t = %a", "`t` is updated but there is no such parameter or state"),
            (
                "%s = state[\"s\", init=constant(0.0)] : f32[]\nupdate s = %a",
                "`s` is f32[], but its update is f32[2]",
            ),
            ("%y = input[\"x\"] : f32[]\n%z = input[\"x\"] : f32[2]", "a leaf is bound to `x` twice"),
            (
                "%y = input[\"x y\"] : f32[]",
                "`x y` can't be the name of a leaf; names are made of letters, digits, `_` and `.`",
            ),
        ] {
            assert_eq!(errors(&format!("{two}{lines}")), [expected], "{lines}");
        }
        let found = errors("%y = iota[dim=0] : f32[65536, 65536]\n%z = neg %y : f32[1]");
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("f32[65536, 65536] is too large"), "{found:?}");
    }
}
