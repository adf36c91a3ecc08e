//! Where sites are active: where what is computed from them next has a slope.

use crate::builder::Builder;
use crate::diag::Diagnostic;
use crate::graph::{OutputKind, Span, Value};
use crate::lang::calculus::{Derivative, Perturbed};
use crate::lang::eval::{Elab, fail};
use crate::lang::tree::{Leaf, Tree};
use crate::lang::value::{Res, Val};
use crate::ops::{Compare, Lower, OpRules, Role};

impl<'a> Elab<'a> {
    /// For each of `sites`, 1 where the derivative of one of the operations that read it isn't 0, and else 0.
    ///
    /// Only elementwise operations on the site as a whole are looked at; a site that something else reads, such as a
    /// reduction, is active everywhere.
    pub(in crate::lang) fn active(&mut self, sites: &Tree, span: Span) -> Res {
        let (Some(step), Some(values)) = (&self.step, &sites.sites) else {
            return Err(Box::new(
                Diagnostic::new(span, "`active` is of the sites of the model").help("as in `active(sites)`"),
            ));
        };
        let model = step.model;
        let mut leaves = Vec::with_capacity(values.len());
        for (leaf, &site) in sites.leaves.iter().zip(values.iter()) {
            let readers: Vec<Value> =
                model.values().filter(|&v| model.node(v).args.contains(&site)).collect();
            let elementwise = |v: &Value| {
                let node = model.node(*v);
                matches!(node.op.lower(&model.arg_types(*v)), Lower::Map) && node.ty == *model.ty(site)
            };
            let value = match !readers.is_empty() && readers.iter().all(elementwise) {
                true => self.slopes(site, &readers, span)?,
                false => Val::Int(1),
            };
            leaves.push(Leaf { value, ..leaf.clone() });
        }
        Ok(Val::Tree(Tree::new(leaves)))
    }

    /// 1 where one of the elementwise operations `readers` of `site` has a slope, else 0.
    fn slopes(&mut self, site: Value, readers: &[Value], span: Span) -> Res {
        let Some(step) = &self.step else { unreachable!("sites are of a step") };
        let model = step.model;
        let ty = model.ty(site).clone();
        let mut any: Option<Value> = None;
        for &reader in readers {
            let node = model.node(reader);
            let mut b = Builder::new("slope");
            let names: Vec<String> = node.args.iter().map(|arg| format!("at.{}", arg.index())).collect();
            let mut inside = Vec::with_capacity(node.args.len());
            for (&arg, name) in node.args.iter().zip(&names) {
                let built = b.bound(name, Role::Input, model.ty(arg).clone());
                inside.push(built.map_err(|e| fail(span, e.message))?);
            }
            let entry = inside[node
                .args
                .iter()
                .position(|a| *a == site)
                .unwrap_or_else(|| unreachable!("a reader of a value has it among its operands"))];
            let y = b.push(node.op.clone(), &inside).map_err(|e| fail(span, e.message))?;
            b.output("y", OutputKind::Value, y);
            let graph = b.finish().map_err(|e| fail(span, e.message))?;
            let at = Perturbed { entries: &[entry], cuts: &[] };
            let Derivative { graph, seeds, results } =
                self.calculus.jvp(&graph, at, None).map_err(Box::new)?;
            let outputs = graph.outputs_by_name();
            let Some(end) = results.first().and_then(|name| outputs.get(name.as_str())).map(|o| o.value)
            else {
                unreachable!("a derivative has the outputs that it names")
            };
            let args = self.model_values(&node.args);
            let one = self.constant(ty.clone(), 1.0, span)?;
            let needed = graph.dependencies([end]);
            let given = |name: &str| {
                let arg = names.iter().position(|n| n == name).map(|k| args[k]);
                arg.or_else(|| seeds.iter().any(|n| n == name).then_some(one))
            };
            let map = self
                .builder
                .inline(&graph, &needed, |_, v| Ok(graph.binding(v).and_then(|(name, _)| given(name))));
            let map = map.map_err(|e| fail(span, e.message))?;
            let slope = map[end.index()].unwrap_or_else(|| unreachable!("an output is needed by itself"));
            let zero = self.constant(ty.clone(), 0.0, span)?;
            let moves = self.push(Compare::Ne, &[slope, zero], span)?;
            any = Some(match any {
                Some(before) => self.push(crate::ops::Binary::Or, &[before, moves], span)?,
                None => moves,
            });
        }
        let Some(any) = any else { unreachable!("there is a reader") };
        let built = self.builder.cast(any, ty.dtype).map_err(|e| fail(span, e.message));
        self.checked(built?, span).map(Val::Tensor)
    }
}
