//! What is known while a graph is read: what its names stand for, and the program so far.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use fgc::DType;
use prost::bytes::Bytes;

use super::graph::{Node, Said, Uses, unsaid};
use super::proto::GraphProto;
use crate::array::Array;
use crate::dim::Dim;
use crate::program::{Expr, Param, Program, Value, cleaned, outer};
use crate::{Problem, Settings};

/// The most elements of all constants that are made while a model is read.
const MAX_CELLS: usize = 1 << 25;

/// What a name of the source stands for.
#[derive(Clone, Debug)]
pub enum Operand {
    /// A constant.
    Known(Rc<Array>),
    /// An array that becomes a parameter where it is used.
    Param(Param),
    /// A value of the program.
    Value(Value),
    /// What couldn't be said, which is listed.
    Missing,
}

impl Operand {
    /// The constant `x`.
    pub fn known(x: Array) -> Operand {
        Operand::Known(Rc::new(x))
    }

    /// Its shape; none if it is missing.
    pub fn shape(&self) -> Vec<Dim> {
        match self {
            Operand::Known(x) => x.dims(),
            Operand::Param(p) => p.shape.iter().map(|&n| Dim::size(n)).collect(),
            Operand::Value(v) => v.shape(),
            Operand::Missing => Vec::new(),
        }
    }

    /// Its element type.
    pub fn dtype(&self) -> DType {
        match self {
            Operand::Known(x) => x.dtype(),
            Operand::Param(_) | Operand::Missing => DType::F32,
            Operand::Value(v) => v.dtype,
        }
    }
}

/// What is known while a graph is read.
pub struct Importer<'a> {
    /// The graph.
    pub graph: &'a GraphProto,
    /// Who uses what.
    pub uses: Uses<'a>,
    /// The version of the operators.
    pub opset: i64,
    /// What comes of it.
    pub program: Program,
    /// How it is imported.
    pub settings: &'a Settings,
    /// The content of the file with large arrays.
    pub external: Option<&'a Bytes>,
    /// What is to be known of the result.
    pub notes: Vec<String>,
    /// What can't be said.
    pub problems: Vec<Problem>,
    said: BTreeSet<&'static str>,
    named: HashMap<&'a str, Operand>,
    /// Nodes that are part of another's layer.
    done: HashSet<usize>,
    cells: usize,
}

impl<'a> Importer<'a> {
    /// What is known before the graph is read.
    pub fn new(
        graph: &'a GraphProto,
        opset: i64,
        settings: &'a Settings,
        external: Option<&'a Bytes>,
    ) -> Importer<'a> {
        let arrays: HashSet<Option<&String>> = graph.initializer.iter().map(|x| Some(&x.name)).collect();
        let own = graph.initializer.iter().map(|x| x.name.as_str()).filter(|name| !is_generated(name));
        Importer {
            graph,
            uses: Uses::of(graph, |node| {
                let copies = node.op_type == "Identity" && arrays.contains(&node.input.first());
                copies || matches!(node.op_type.as_str(), "Shape" | "Size")
            }),
            opset,
            program: outer(own).map_or_else(Program::default, |outer| Program::within(&outer)),
            settings,
            external,
            notes: Vec::new(),
            problems: Vec::new(),
            said: BTreeSet::new(),
            named: HashMap::new(),
            done: HashSet::new(),
            cells: 0,
        }
    }

    /// Gives `name` its meaning.
    pub fn name(&mut self, name: &'a str, operand: Operand) {
        self.named.insert(name, operand);
    }

    /// Whether node `k` is part of another's layer.
    pub fn is_done(&self, k: usize) -> bool {
        self.done.contains(&k)
    }

    /// Adds to what can't be said.
    pub fn problem(&mut self, name: &str, op: &str, attribute: Option<&str>, why: impl Into<String>) {
        self.problems.push(Problem {
            name: name.to_owned(),
            op: op.to_owned(),
            attribute: attribute.map(str::to_owned),
            why: why.into(),
        });
    }

    /// Says `note` of the result, once.
    pub fn note(&mut self, note: &'static str) {
        if self.said.insert(note) {
            self.notes.push(note.to_owned());
        }
    }

    /// Counts `n` elements of constants.
    ///
    /// # Errors
    /// If there are too many.
    pub fn charge(&mut self, n: usize) -> Said {
        self.cells = self.cells.saturating_add(n);
        if self.cells > MAX_CELLS {
            return Err(unsaid(format!(
                "constants of more than {MAX_CELLS} elements in all aren't computed"
            )));
        }
        Ok(())
    }

    /// Gives result `k` of `node` its meaning.
    pub fn set(&mut self, node: Node<'a>, k: usize, operand: Operand) -> Said {
        if let Operand::Known(x) = &operand {
            self.charge(x.len())?;
        }
        if let Some(name) = node.output(k) {
            self.named.insert(name, operand);
        }
        Ok(())
    }

    /// Gives result 0 of `node` the meaning of a value.
    pub fn set_value(&mut self, node: Node<'a>, v: Value) -> Said {
        self.set(node, 0, Operand::Value(v))
    }

    /// Gives result 0 of `node` the value of `expr`, which has the dimensions of the source in their order.
    pub fn set_natural(&mut self, node: Node<'a>, expr: Expr, dtype: DType, sizes: Vec<Dim>) -> Said {
        let v = self.program.value(&node.hint(), expr, dtype, sizes);
        self.set_value(node, v)
    }

    /// The node that alone uses the result of `node`.
    pub fn only_use(&self, node: Node) -> Option<(usize, Node<'a>)> {
        let k = self.uses.only(node.output(0)?)?;
        Some((k, Node(&self.graph.node[k])))
    }

    /// Says that node `k` is part of the layer of `node`, which gives `v`. Of what `node` alone gives, only the shape is used.
    pub fn merge(&mut self, node: Node<'a>, k: usize, v: Value) -> Said {
        self.done.insert(k);
        self.set_value(node, v.clone())?;
        self.set_value(Node(&self.graph.node[k]), v)
    }

    /// What operand `k` of `node` is, if it isn't left out. A parameter that is used elsewhere too is a value.
    pub fn optional(&mut self, node: Node<'a>, k: usize) -> Option<Operand> {
        let name = node.input(k)?;
        let operand = self.named.get(name)?.clone();
        match operand {
            Operand::Param(p) if !self.uses.once(name) => {
                let v = Operand::Value(self.program.param(&p, None));
                self.named.insert(name, v.clone());
                Some(v)
            }
            operand => Some(operand),
        }
    }

    /// What operand `k` of `node` is.
    ///
    /// # Errors
    /// If it is left out.
    pub fn operand(&mut self, node: Node<'a>, k: usize) -> Said<Operand> {
        self.optional(node, k).ok_or_else(|| unsaid(format!("operand {k} is left out")))
    }

    /// The value of `operand`, which a variable would be called like `hint` for.
    ///
    /// # Errors
    /// If it is a constant that depends on the size of a batch.
    pub fn value_of(&mut self, hint: &str, operand: Operand) -> Said<Value> {
        match operand {
            Operand::Value(v) => Ok(v),
            Operand::Param(p) => Ok(self.program.param(&p, None)),
            Operand::Known(x) => {
                self.charge(x.len())?;
                let v = self.program.constant(hint, &x);
                v.ok_or_else(|| unsaid("it computes with the size of a batch"))
            }
            Operand::Missing => unreachable!("operations on what is missing aren't read"),
        }
    }

    /// The value of operand `k` of `node`.
    ///
    /// # Errors
    /// If it is left out, or has none.
    pub fn value(&mut self, node: Node<'a>, k: usize) -> Said<Value> {
        let hint = cleaned(node.input(k).unwrap_or_default(), "");
        let operand = self.operand(node, k)?;
        self.value_of(&hint, operand)
    }

    /// The value of operand `k` of `node`, with the dimensions of the source in their order.
    ///
    /// # Errors
    /// As of [`value`](Importer::value).
    pub fn natural(&mut self, node: Node<'a>, k: usize) -> Said<Value> {
        let v = self.value(node, k)?;
        Ok(self.program.natural(&v))
    }

    /// Operand `k` of `node`, which has to be a constant, if it isn't left out.
    ///
    /// # Errors
    /// If it isn't a constant.
    pub fn known(&mut self, node: Node<'a>, k: usize) -> Said<Option<Rc<Array>>> {
        match node.input(k).and_then(|name| self.named.get(name)).cloned() {
            None => Ok(None),
            Some(Operand::Known(x)) => Ok(Some(x)),
            // What has to be known is no parameter, though it is one of floats.
            Some(Operand::Param(p)) => {
                self.charge(p.values.len())?;
                Ok(Some(Rc::new(Array::of(&p.tensor()))))
            }
            Some(_) => Err(unsaid(format!("operand {k} isn't known before the model runs"))),
        }
    }

    /// Operand `k` of `node`, which has to be constant integers, if it isn't left out.
    ///
    /// # Errors
    /// If it isn't.
    pub fn known_ints(&mut self, node: Node<'a>, k: usize) -> Said<Option<Vec<i64>>> {
        let Some(x) = self.known(node, k)? else { return Ok(None) };
        let ints = x.as_known_ints();
        ints.map(Some)
            .ok_or_else(|| unsaid(format!("operand {k} isn't integers that are known before the model runs")))
    }

    /// The one number that operand `k` of `node` is, if it isn't left out.
    ///
    /// # Errors
    /// If it isn't a constant.
    pub fn known_number(&mut self, node: Node<'a>, k: usize) -> Said<Option<f64>> {
        let Some(x) = self.known(node, k)? else { return Ok(None) };
        let number = x.uniform();
        number.map(Some).ok_or_else(|| unsaid(format!("operand {k} isn't one number")))
    }

    /// Whether operand `k` of `node` is the number `c` everywhere.
    pub fn is_filled(&mut self, node: Node<'a>, k: usize, c: f64) -> bool {
        match self.optional(node, k) {
            Some(Operand::Known(x)) => x.uniform() == Some(c),
            Some(Operand::Value(v)) => self.program.is_filled(&v, c),
            _ => false,
        }
    }

    /// What `name` stands for.
    pub fn named(&self, name: &str) -> Option<&Operand> {
        self.named.get(name)
    }

    /// The vector that operand `k` of `node` is, if that is a parameter of `n` elements that nothing else uses.
    pub fn own_vector(&mut self, node: Node<'a>, k: usize, n: usize) -> Option<Param> {
        let name = node.input(k)?;
        match self.named.get(name) {
            Some(Operand::Param(p))
                if self.uses.once(name) && p.values.len() == n && p.shape.last() == Some(&n) =>
            {
                Some(p.clone().reshaped(vec![n]))
            }
            _ => None,
        }
    }
}

/// Whether `name` is one that exporters make up for numbers in a model's code.
pub fn is_generated(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let numbered = |stem: &str| lower.strip_prefix(stem).is_some_and(|rest| rest.parse::<u32>().is_ok());
    // Names of TensorFlow are paths, and those of variables say that they are.
    (name.contains('/') && !name.contains("ReadVariableOp"))
        || lower.contains("const")
        || lower.starts_with("onnx::")
        || numbered("val_")
        || numbered("")
        || lower.contains("scalar_tensor")
}
