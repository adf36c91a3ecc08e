//! Prints a graph in core form.

use std::fmt;

use crate::graph::{Graph, Output, Value};
use crate::ops::OpRules;

/// Columns line up behind the longest name, but not behind one that is longer than this.
const MAX_PAD: usize = 20;

/// The keyword of the lines that say where a graph may be perturbed.
pub(super) const SITE: &str = "site";

/// The keyword of losses beside that of a graph.
pub(super) const LOCAL: &str = "local";

/// The canonical text of `g`, which reads back as the same graph if `g` is valid.
pub fn print(g: &Graph) -> String {
    g.to_string()
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "graph {} {{", self.name)?;
        let names: Vec<String> = self.values().map(|v| spelling(self, v)).collect();
        let pad = width(names.iter().map(String::as_str));
        let reference = |v: Value| names.get(v.index()).map_or("%?", String::as_str);
        for (v, name) in self.values().zip(&names) {
            let node = self.node(v);
            write!(f, "  {name:pad$} = {}{}", node.op.name(), node.op.attrs())?;
            for (k, arg) in node.args.iter().enumerate() {
                let comma = if k > 0 { "," } else { "" };
                write!(f, "{comma} {}", reference(*arg))?;
            }
            writeln!(f, " : {}", node.ty)?;
        }
        if !self.is_empty() && !self.outputs.is_empty() {
            writeln!(f)?;
        }
        let kind_pad = width(self.outputs.iter().map(|o| o.kind.name()));
        let name_pad = width(self.outputs.iter().map(|o| o.name.as_str()));
        for Output { name, kind, value } in &self.outputs {
            let kind = kind.name();
            writeln!(f, "  {kind:kind_pad$} {name:name_pad$} = {}", reference(*value))?;
        }
        for value in &self.local_losses {
            writeln!(f, "  {LOCAL:kind_pad$} {:name_pad$} = {}", "loss", reference(*value))?;
        }
        for (name, value) in &self.sites {
            writeln!(f, "  {SITE:kind_pad$} {name:name_pad$} = {}", reference(*value))?;
        }
        f.write_str("}\n")
    }
}

/// The width of a column of `names`.
fn width<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names.map(|n| n.chars().count()).filter(|&n| n <= MAX_PAD).max().unwrap_or(0)
}

/// `v` as the text refers to it: `%fc.0.w'`, or `%12` if it has no name.
pub fn spelling(g: &Graph, v: Value) -> String {
    let label = g.label(v);
    match &label.name {
        Some(name) => format!("%{name}{}", label.marks),
        None => format!("%{}{}", v.index(), label.marks),
    }
}

#[cfg(test)]
mod tests {
    use crate::builder::Builder;
    use crate::graph::OutputKind;
    use crate::ops::{Binary, Role, Unary};
    use crate::types::{DType, Type};

    #[test]
    fn columns_line_up() {
        let mut b = Builder::new("m.jvp");
        let x = b.bound("x", Role::Input, Type::new(DType::F32, [2, 3])).unwrap();
        let t = b.bound("a.name.longer.than.a.column", Role::Input, Type::new(DType::F32, [2, 3])).unwrap();
        let y = b.push(Unary::Exp, &[x]).unwrap();
        let dy = b.push(Binary::Mul, &[y, t]).unwrap();
        b.label(y, "hidden", "");
        b.label(dy, "hidden", "'");
        let z = b.push(Unary::Neg, &[dy]).unwrap();
        b.output("y", OutputKind::Value, z);
        b.output("y.tangent", OutputKind::Metric, dy);
        let expected = r#"graph m.jvp {
  %x       = input["x"] : f32[2, 3]
  %a.name.longer.than.a.column = input["a.name.longer.than.a.column"] : f32[2, 3]
  %hidden  = exp %x : f32[2, 3]
  %hidden' = mul %hidden, %a.name.longer.than.a.column : f32[2, 3]
  %4       = neg %hidden' : f32[2, 3]

  output y         = %4
  metric y.tangent = %hidden'
}
"#;
        assert_eq!(super::print(&b.finish().unwrap()), expected);
    }
}
