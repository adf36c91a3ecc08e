//! The program that a source becomes: its lines, its arrays, and its text.

mod expr;
mod layout;
mod names;
mod print;

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use fgc::ir::Shape;
use fgc::{Arrays, DType, Tensor};

pub use expr::{Expr, each, number};
pub use layout::{Value, channels_last};
pub use names::{Names, cleaned, layer, outer};

use crate::array::{Array, Cells, permuted};
use crate::dim::{self, Dim};

/// The most elements of a constant that is written out.
const WRITTEN: usize = 64;

/// An array that becomes a parameter where it is used first, in the form that it is used in.
#[derive(Clone, Debug)]
pub struct Param {
    /// Its name in the source.
    pub name: Rc<str>,
    /// Its values.
    pub values: Rc<Tensor>,
    /// What is made of them, one after the other.
    pub moves: Vec<Move>,
    /// The shape of what that gives.
    pub shape: Vec<usize>,
}

/// The same elements in other places.
#[derive(Clone, PartialEq, Debug)]
pub enum Move {
    /// Dimensions in another order.
    Transpose(Vec<usize>),
    /// Another shape.
    Reshape(Vec<usize>),
}

impl Param {
    /// The parameter called `name` in the source.
    pub fn new(name: &str, values: Rc<Tensor>) -> Param {
        let shape = values.shape().to_vec();
        Param { name: name.into(), values, moves: Vec::new(), shape }
    }

    /// With its dimensions in the order `perm`.
    pub fn transposed(mut self, perm: &[usize]) -> Param {
        self.shape = perm.iter().map(|&k| self.shape[k]).collect();
        if !perm.iter().copied().eq(0..perm.len()) {
            self.moves.push(Move::Transpose(perm.to_vec()));
        }
        self
    }

    /// In the shape `shape`, of as many elements.
    pub fn reshaped(mut self, shape: Vec<usize>) -> Param {
        if shape != self.shape {
            self.moves.push(Move::Reshape(shape.clone()));
        }
        self.shape = shape;
        self
    }

    /// Its values as they are declared.
    pub fn tensor(&self) -> Tensor {
        let mut x = (*self.values).clone();
        for step in &self.moves {
            x = match step {
                Move::Transpose(perm) => x.read(&permuted(x.shape(), perm)),
                Move::Reshape(shape) => x.reshaped(shape.clone()),
            };
        }
        x
    }

    /// What it is in the source: `fc.weight, transposed [1, 0]`.
    pub fn source(&self) -> String {
        let step = |step: &Move| match step {
            Move::Transpose(perm) => format!(", transposed {perm:?}"),
            Move::Reshape(shape) => format!(", reshaped {shape:?}"),
        };
        std::iter::once(self.name.to_string()).chain(self.moves.iter().map(step)).collect()
    }

    /// The number that all its elements are, if they are one.
    fn uniform(&self) -> Option<f32> {
        let v = self.values.as_slice::<f32>();
        v.first().copied().filter(|x| v.iter().all(|y| y == x))
    }
}

/// A line of the program.
#[derive(Clone, Debug)]
struct Line {
    /// What a variable for it is called like.
    hint: String,
    kind: Kind,
    /// The arrays of the parameters and states that it declares, itself or by a layer.
    arrays: Vec<Stored>,
}

/// The values of a parameter or state.
#[derive(Clone, Debug)]
struct Stored {
    name: String,
    values: Rc<Tensor>,
    /// What they are in the source, if they have a name there.
    source: Option<String>,
}

#[derive(Clone, Debug)]
enum Kind {
    Input { name: String },
    Let(Expr),
    Declared { name: String, text: String },
}

/// What a program ends with.
#[derive(Clone, PartialEq, Debug)]
pub enum End {
    /// `output NAME = …`.
    Output(String),
    /// `loss = …`.
    Loss,
    /// `metric NAME = …`.
    Metric(String),
}

/// A program.
#[derive(Debug, Default)]
pub struct Program {
    lines: Vec<Line>,
    inputs: Vec<(String, String)>,
    ends: Vec<(End, Expr)>,
    names: Names,
    labels: Names,
    /// What was laid out already: the line, the order of its dimensions, its sizes.
    laid: HashMap<(usize, Vec<usize>, Vec<Dim>), usize>,
}

/// Values that are given for a parameter of a layer.
#[derive(Clone, Debug)]
pub struct Given {
    /// What they are in the source, if they have a name there.
    pub source: Option<String>,
    /// The values.
    pub values: Tensor,
}

impl From<&Param> for Given {
    fn from(p: &Param) -> Given {
        Given { source: Some(p.source()), values: p.tensor() }
    }
}

/// What a program becomes: its text, its arrays by name, and what these are in the source.
pub type Finished = (String, Arrays, BTreeMap<String, String>);

impl Program {
    /// An empty program, whose names are without `outer`, a module that all is in.
    pub fn within(outer: &str) -> Program {
        Program { names: Names::within(outer), labels: Names::within(outer), ..Program::default() }
    }

    fn line(&mut self, hint: &str, kind: Kind) -> usize {
        self.lines.push(Line { hint: hint.to_owned(), kind, arrays: Vec::new() });
        self.lines.len() - 1
    }

    /// An input called like `name`, of the sizes `sizes`.
    pub fn input(&mut self, name: &str, dtype: DType, sizes: Vec<Dim>) -> Value {
        let name = self.names.unique(name);
        self.inputs.push((name.clone(), format!("{dtype}{}", dim::list(&sizes))));
        let id = self.line(&name, Kind::Input { name: name.clone() });
        Value::natural(id, dtype, sizes)
    }

    /// The value of `expr`, which a variable would be called like `hint` for.
    pub fn value(&mut self, hint: &str, expr: Expr, dtype: DType, sizes: Vec<Dim>) -> Value {
        let id = match expr {
            Expr::Line(id) => id,
            expr => self.line(hint, Kind::Let(expr)),
        };
        Value::natural(id, dtype, sizes)
    }

    /// A layer: `call` as an instance called like `label`, whose parameters and states are given.
    pub fn layer(&mut self, label: &str, call: Expr, given: Vec<(&str, Given)>, sizes: Vec<Dim>) -> Value {
        let label = self.labels.unique(label);
        let id = self.line(&label, Kind::Let(call.labelled(label.clone())));
        let array = |(name, x): (&str, Given)| Stored {
            name: format!("{label}.{name}"),
            values: Rc::new(x.values),
            source: x.source,
        };
        self.lines[id].arrays = given.into_iter().map(array).collect();
        Value::natural(id, DType::F32, sizes)
    }

    fn declare(&mut self, what: &str, hint: &str, init: &str, x: Tensor, source: Option<String>) -> Value {
        let sizes: Vec<Dim> = x.shape().iter().map(|&n| Dim::size(n)).collect();
        let name = self.names.unique(hint);
        let text = format!("{what} {name}: f32{} ~ {init}", dim::list(&sizes));
        let id = self.line(&name, Kind::Declared { name: name.clone(), text });
        self.lines[id].arrays.push(Stored { name, values: Rc::new(x), source });
        Value::natural(id, DType::F32, sizes)
    }

    /// The value of `param`, declared as it is now, to start from `init` where it is given.
    pub fn param(&mut self, param: &Param, init: Option<String>) -> Value {
        let init = init.unwrap_or_else(|| match param.uniform() {
            Some(0.0) => "zeros".to_owned(),
            Some(x) => format!("constant({})", number(x.into())).replace("constant(1)", "ones"),
            None if param.shape.len() < 2 => "zeros".to_owned(),
            None => "lecun_normal".to_owned(),
        });
        self.declare("param", &cleaned(&param.name, ""), &init, param.tensor(), Some(param.source()))
    }

    /// The value of the constant `x`, called like `hint`; `None` if it depends on the size of a batch.
    pub fn constant(&mut self, hint: &str, x: &Array) -> Option<Value> {
        let numbers = x.numbers()?;
        let dtype = x.dtype();
        let sizes = x.dims();
        let shape = Expr::atom(dim::list(&sizes));
        if let (DType::F32, Some(c)) = (dtype, x.uniform()) {
            return Some(self.value(hint, Expr::call("full", [shape, Expr::number(c)]), dtype, sizes));
        }
        let counts = |v: &[Dim]| v.iter().enumerate().all(|(k, d)| *d == Dim::size(k));
        if let ([n], Cells::Int(v)) = (x.shape.as_slice(), &x.cells)
            && *n > 1
            && counts(v)
        {
            return Some(self.value(hint, Expr::call("iota", [Expr::atom(n)]), dtype, sizes));
        }
        if let Some(mask) = triangle(x) {
            return Some(self.value(hint, mask, dtype, sizes));
        }
        if !x.shape.is_empty() && x.len() <= WRITTEN && x.len() > 0 {
            let items = written(&x.cells);
            return Some(self.value(hint, Expr::call("tensor", [nested(&items, &x.shape)]), dtype, sizes));
        }
        if x.shape.is_empty() && dtype != DType::F32 {
            let one = Expr::call("tensor", [nested(&written(&x.cells), &[1])]);
            return Some(self.value(hint, Expr::call("reshape", [one, Expr::atom("[]")]), dtype, sizes));
        }
        let shape = Shape::from(&x.shape[..]);
        let stored: Vec<f32> = numbers.iter().map(|&x| x as f32).collect();
        let held = self.declare("state", hint, "zeros", Tensor::of(shape, stored), None);
        Some(match dtype {
            DType::Bool => {
                let holds = Expr::binary("!=", Expr::Line(held.id), Expr::number(0.0));
                self.value(hint, holds, dtype, held.sizes)
            }
            DType::I32 => self.value(hint, Expr::call("i32", [Expr::Line(held.id)]), dtype, held.sizes),
            _ => held,
        })
    }

    /// Whether `v` holds positions that need no check: an input, which is checked, or what `argmax` gives.
    pub fn is_position(&self, v: &Value) -> bool {
        match &self.lines[v.id].kind {
            Kind::Input { .. } => true,
            Kind::Let(Expr::Call { name, .. }) => matches!(*name, "argmax" | "iota"),
            Kind::Let(_) | Kind::Declared { .. } => false,
        }
    }

    /// What `v` is a reshape of, if it is one, and else itself: a reshape of either is the same.
    pub fn before_reshape(&self, v: &Value) -> Expr {
        match &self.lines[v.id].kind {
            Kind::Let(Expr::Call { name: "reshape" | "flatten", args, .. }) => args[0].1.clone(),
            _ => Expr::Line(v.id),
        }
    }

    /// Whether all elements of `v` are `c`, as far as the program says.
    pub fn is_filled(&self, v: &Value, c: f64) -> bool {
        match &self.lines[v.id].kind {
            Kind::Let(Expr::Call { name, args, .. }) => {
                *name == "full" && args.get(1).is_some_and(|(_, x)| *x == Expr::number(c))
            }
            _ => false,
        }
    }

    /// Lets the program end with `expr` as `end` says; the name of an output or metric that is taken is numbered.
    pub fn end(&mut self, end: End, expr: Expr) {
        self.ends.push((end, expr));
    }

    /// A name for an output, like `hint`.
    pub fn output_name(&mut self, hint: &str) -> String {
        self.names.unique(hint)
    }

    /// The text of the program as a model called `name`, below `comment`, with its arrays.
    pub fn finish(mut self, name: &str, comment: &str) -> Finished {
        print::print(&mut self, name, comment)
    }
}

fn written(cells: &Cells) -> Vec<String> {
    match cells {
        Cells::Int(v) => v.iter().map(Dim::to_string).collect(),
        Cells::Bool(v) => v.iter().map(bool::to_string).collect(),
        // A list of whole numbers would be one of integers.
        Cells::Float(v) => {
            let text = |x: &f64| {
                let text = number(*x);
                if text.contains(['.', 'e', 'n']) { text } else { format!("{text}.0") }
            };
            v.iter().map(text).collect()
        }
    }
}

fn nested(items: &[String], shape: &[usize]) -> Expr {
    match shape {
        [] | [_] => Expr::List(items.iter().map(Expr::atom).collect()),
        [_, rest @ ..] => {
            let size: usize = rest.iter().product();
            Expr::List(items.chunks(size.max(1)).map(|items| nested(items, rest)).collect())
        }
    }
}

/// The mask that holds up to a diagonal, as attention to earlier positions has it.
fn triangle(x: &Array) -> Option<Expr> {
    let Cells::Bool(v) = &x.cells else { return None };
    let [lead @ .., rows, columns] = x.shape.as_slice() else { return None };
    if lead.iter().any(|n| *n != 1) || *rows < 2 || *columns < 2 {
        return None;
    }
    let first = v[..*columns].iter().take_while(|holds| **holds).count();
    let holds = |i: usize| i % columns < i / columns + first;
    if first == 0 || first == *columns || !(0..v.len()).all(|i| v[i] == holds(i)) {
        return None;
    }
    let row: Vec<Dim> = lead.iter().map(|_| Dim::of(1)).chain([Dim::size(*rows), Dim::of(1)]).collect();
    let row = Expr::call("reshape", [Expr::call("iota", [Expr::atom(rows)]), Expr::atom(dim::list(&row))]);
    let row = if first == 1 { row } else { Expr::binary("+", row, Expr::atom(first - 1)) };
    Some(Expr::binary("<=", Expr::call("iota", [Expr::atom(columns)]), row))
}
