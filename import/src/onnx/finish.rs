//! What a program ends with: the outputs of the graph, and a loss.

use fgc::DType;

use super::graph::{Node, Said, unsaid};
use super::importer::{Importer, Operand};
use crate::dim;
use crate::program::{End, Expr, Names, Value, channels_last, cleaned};
use crate::{Layout, Loss};

impl<'a> Importer<'a> {
    /// Lets the program end with the outputs of the graph and the loss that is asked for; gives the name of the model.
    pub fn finish(&mut self) -> String {
        let outputs = &self.graph.output;
        if outputs.is_empty() {
            self.problem("", "", None, "it has no outputs");
        }
        for (k, output) in outputs.iter().enumerate() {
            let said = match self.named(&output.name).cloned() {
                None => Err(unsaid("nothing gives this output")),
                Some(Operand::Missing) => Ok(()),
                Some(operand) => self.output(&output.name, operand, k == 0),
            };
            if let Err(e) = said {
                self.problem(&output.name, "", None, e.why);
            }
        }
        let name = if self.settings.name.is_empty() { "imported" } else { &self.settings.name };
        Names::default().unique(name)
    }

    /// Ends with the output that the source calls `source`, and with the loss if it is the first.
    fn output(&mut self, source: &str, operand: Operand, first: bool) -> Said {
        let hint = cleaned(source, "");
        let v = self.value_of(&hint, operand)?;
        let turned = v.rank() > 2 && v.order() == channels_last(v.rank());
        let name = self.program.output_name(&hint);
        let v = if turned && self.settings.layout == Layout::ChannelsLast {
            let shape = dim::list(&v.shape());
            self.notes.push(format!("Output `{name}` is {shape} in the source, channels first."));
            v
        } else {
            self.program.natural(&v)
        };
        self.program.end(End::Output(name), Expr::Line(v.id));
        match self.settings.loss.filter(|_| first) {
            None => Ok(()),
            Some(Loss::Mse) => {
                if v.dtype != DType::F32 {
                    return Err(unsaid("there is no loss of what isn't floats"));
                }
                let y = self.program.input("y", DType::F32, v.sizes.clone());
                self.program.end(End::Loss, Expr::call("mse", [Expr::Line(v.id), Expr::Line(y.id)]));
                Ok(())
            }
            Some(Loss::CrossEntropy) => self.cross_entropy(source, v),
        }
    }

    /// Ends with the cross-entropy of `v`, which the source calls `source`.
    fn cross_entropy(&mut self, source: &str, v: Value) -> Said {
        let by = self.graph.node.iter().map(Node).find(|node| node.output(0) == Some(source));
        let operand = by.filter(|node| node.op() == "Softmax").and_then(|node| node.input(0));
        // What is a distribution is one of logits that the loss takes, which keeps their digits.
        let logits = match operand.and_then(|name| self.named(name).cloned()) {
            Some(Operand::Value(logits)) if logits.rank() == v.rank() => {
                let order = v.order();
                self.program.laid(&logits, &order)
            }
            _ => v,
        };
        let Some((_, rows)) = logits.sizes.split_last().filter(|_| logits.dtype == DType::F32) else {
            return Err(unsaid("there is no cross-entropy of what isn't rows of floats"));
        };
        let y = self.program.input("y", DType::I32, rows.to_vec());
        let (x, y) = (Expr::Line(logits.id), Expr::Line(y.id));
        let losses = Expr::call("softmax_cross_entropy", [x.clone(), y.clone()]);
        self.program.end(End::Loss, Expr::call("mean", [losses]));
        let right = Expr::binary("==", Expr::call("argmax", [x]), y);
        self.program.end(End::Metric("accuracy".to_owned()), Expr::call("mean", [right]));
        Ok(())
    }
}
