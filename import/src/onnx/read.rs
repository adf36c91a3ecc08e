//! Reads a graph from end to end: arrays, inputs, and operation by operation.

use std::collections::HashSet;
use std::rc::Rc;

use fgc::DType;
use prost::bytes::Bytes;

use super::graph::{Node, Unsaid, unsaid};
use super::importer::{Importer, Operand, is_generated};
use super::proto::{self, ModelProto, ValueInfoProto};
use super::{ops, tensor};
use crate::array::Array;
use crate::dim::{self, Dim};
use crate::program::{Param, Value, channels_last, cleaned};
use crate::{Error, Imported, Layout, Settings};

/// The versions of ONNX's operators whose meaning is known.
const OPSETS: std::ops::RangeInclusive<i64> = 13..=22;

/// The model that `bytes` hold.
///
/// # Errors
/// As of [`crate::import`].
pub fn import(bytes: Bytes, data: Option<Bytes>, settings: &Settings) -> Result<Imported, Error> {
    let model = proto::decode(bytes).map_err(|e| Error::File(format!("not a valid ONNX file: {e}")))?;
    let opset = opset(&model)?;
    let Some(graph) = &model.graph else {
        return Err(Error::File("not a valid ONNX file: it has no graph".to_owned()));
    };
    Importer::new(graph, opset, settings, data.as_ref()).run(&model)
}

fn opset(model: &ModelProto) -> Result<i64, Error> {
    let own = |domain: &str| matches!(domain, "" | "ai.onnx");
    match model.opset_import.iter().find(|o| own(&o.domain)) {
        None => Err(Error::File("not a valid ONNX file: it doesn't say which operators it is of".to_owned())),
        Some(o) if !OPSETS.contains(&o.version) => Err(Error::File(format!(
            "it is of version {} of ONNX's operators; {} to {} are read",
            o.version,
            OPSETS.start(),
            OPSETS.end()
        ))),
        Some(o) => Ok(o.version),
    }
}

impl<'a> Importer<'a> {
    fn run(&mut self, model: &ModelProto) -> Result<Imported, Error> {
        for f in &model.functions {
            self.problem(&f.name, "", None, "operators that are functions of the file aren't read");
        }
        if !self.graph.sparse_initializer.is_empty() {
            self.problem("", "", None, "sparse arrays aren't read");
        }
        self.arrays();
        self.copies();
        self.inputs();
        for k in 0..self.graph.node.len() {
            let node = &self.graph.node[k];
            let is_copy = node.op_type == "Identity"
                && node.output.first().is_some_and(|name| self.named(name).is_some());
            if !self.is_done(k) && !is_copy {
                self.node(Node(&self.graph.node[k]));
            }
        }
        let name = self.finish();
        if !self.problems.is_empty() {
            return Err(Error::Unsaid(std::mem::take(&mut self.problems)));
        }
        let program = std::mem::take(&mut self.program);
        let from = format!("From an ONNX model, with version {} of its operators.", self.opset);
        let comment = std::iter::once(&from).chain(&self.notes).cloned().collect::<Vec<_>>().join("\n");
        let (text, arrays, sources) = program.finish(&name, &comment);
        Ok(Imported { text, arrays, sources, notes: std::mem::take(&mut self.notes) })
    }

    /// Gives the arrays of the file their names.
    fn arrays(&mut self) {
        for array in &self.graph.initializer {
            let operand = match tensor::read(array, self.external) {
                Ok(tensor::Read::Whole(x)) => self.charge(x.len()).map(|()| Operand::known(x)),
                Ok(tensor::Read::Floats(x)) if x.len() == 1 && is_generated(&array.name) => {
                    Ok(Operand::known(Array::of(&x)))
                }
                Ok(tensor::Read::Floats(x)) => Ok(Operand::Param(Param::new(&array.name, Rc::new(x)))),
                Err(why) => Err(unsaid(why)),
            };
            let operand = operand.unwrap_or_else(|e| {
                self.problem(&array.name, "", None, e.why);
                Operand::Missing
            });
            self.name(&array.name, operand);
        }
    }

    /// Parameters that have the same values are one array in files of PyTorch, and the others copies of it: they are parameters
    /// of their own again.
    fn copies(&mut self) {
        for node in self.graph.node.iter().map(Node).filter(|node| node.op() == "Identity") {
            let (Some(of), Some(to)) = (node.input(0), node.output(0)) else { continue };
            if let Some(Operand::Param(p)) = self.named(of).cloned()
                && self.charge(p.values.len()).is_ok()
            {
                self.name(to, Operand::Param(Param::new(to, p.values)));
            }
        }
    }

    fn inputs(&mut self) {
        let given: Vec<&ValueInfoProto> =
            self.graph.input.iter().filter(|i| self.named(&i.name).is_none()).collect();
        // What is trained has samples called so.
        let is_samples = self.settings.loss.is_some() && given.len() == 1;
        // The names of dimensions that are the size of a batch.
        let mut batch = HashSet::new();
        for input in given {
            let operand = match self.input_type(input, &mut batch) {
                Ok((dtype, sizes)) => {
                    let name = if is_samples { "x".to_owned() } else { cleaned(&input.name, "") };
                    Operand::Value(self.input(&input.name, &name, dtype, sizes))
                }
                Err(why) => {
                    self.problem(&input.name, "", None, why);
                    Operand::Missing
                }
            };
            self.name(&input.name, operand);
        }
    }

    fn input_type(
        &self,
        input: &'a ValueInfoProto,
        batch: &mut HashSet<&'a str>,
    ) -> Result<(DType, Vec<Dim>), String> {
        let ty = input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
        let ty = ty.ok_or("an input that isn't an array can't be said")?;
        let shape = ty.shape.as_ref().ok_or("the number of its dimensions isn't known")?;
        let mut sizes = Vec::new();
        for (k, dim) in shape.dim.iter().enumerate() {
            let name = dim.dim_param.as_deref().unwrap_or_default();
            let value = dim.dim_value.filter(|n| *n > 0);
            sizes.push(match (value, self.settings.sizes.get(name)) {
                (Some(n), _) if n > i32::MAX.into() => return Err(format!("a size of {n}")),
                (Some(n), _) => Dim::of(n),
                (None, Some(n)) => Dim::size(*n),
                (None, None) if k == 0 || batch.contains(name) => {
                    if !name.is_empty() {
                        batch.insert(name);
                    }
                    Dim::BATCH
                }
                (None, None) if name.is_empty() => {
                    return Err(format!("the size of dimension {k} isn't known"));
                }
                (None, None) => {
                    return Err(format!(
                        "dimension {k}, `{name}`, has any size: give it one, as in --size {name}=16"
                    ));
                }
            });
        }
        Ok((tensor::dtype(ty.elem_type)?, sizes))
    }

    /// The input that the source calls `source`, in the layout that is asked for.
    fn input(&mut self, source: &str, name: &str, dtype: DType, sizes: Vec<Dim>) -> Value {
        let image = sizes.len() > 2 && self.feeds_images(source, sizes.len());
        if !image || self.settings.layout == Layout::Source {
            return self.program.input(name, dtype, sizes);
        }
        let order = channels_last(sizes.len());
        let turned: Vec<Dim> = order.iter().map(|&k| sizes[k]).collect();
        self.notes.push(format!("Input `{name}` is {} in the source, channels first.", dim::list(&sizes)));
        self.program.input(name, dtype, turned).ordered(&order)
    }

    /// Whether what works on images takes `name`, or what is made of it element by element.
    fn feeds_images(&self, name: &str, rank: usize) -> bool {
        let mut names = vec![name];
        let mut seen = HashSet::new();
        while let Some(name) = names.pop() {
            for &k in self.uses.by(name) {
                let node = Node(&self.graph.node[k]);
                if seen.insert(k) {
                    // Sequences are normalised and averaged too.
                    let slides = ["Conv", "ConvTranspose", "MaxPool", "AveragePool"].contains(&node.op());
                    if slides || (rank > 3 && ops::is_of_images(node.op())) {
                        return true;
                    }
                    if ops::is_elementwise(node.op()) {
                        names.extend(node.output(0));
                    }
                }
            }
        }
        false
    }

    fn node(&mut self, node: Node<'a>) {
        let run = ops::find(node.op()).filter(|_| matches!(node.0.domain.as_str(), "" | "ai.onnx"));
        let operands = || node.0.input.iter().filter(|name| !name.is_empty());
        let unknown = operands().find(|name| self.named(name).is_none());
        let said = match (run, unknown) {
            (None, _) if node.0.domain.len() > 8 => {
                Err(unsaid(format!("operators of `{}` aren't known", node.0.domain)))
            }
            (None, _) => Err(unsaid("the language has no such operation")),
            (_, Some(name)) => Err(unsaid(format!("nothing gives its operand `{name}`"))),
            // What it is made of is listed already.
            _ if operands().any(|name| matches!(self.named(name), Some(Operand::Missing))) => Ok(()),
            (Some(run), None) => run(self, node),
        };
        if let Err(Unsaid { attribute, why }) = said {
            self.problem(node.shown(), node.op(), attribute, why);
        }
        for name in node.0.output.iter().filter(|name| !name.is_empty()) {
            if self.named(name).is_none() {
                self.name(name, Operand::Missing);
            }
        }
    }
}
