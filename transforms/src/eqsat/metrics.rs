//! Graphs without their metrics, and with them again.

use fgc_ir::{Builder, Built, Graph, OutputKind, TypeError, Value};

/// Whether `g` has metrics.
pub fn any(g: &Graph) -> bool {
    g.outputs.iter().any(|o| o.kind == OutputKind::Metric)
}

/// `g` without its metrics and what only they need, and the value there of each value of `g`. The leaves that the
/// caller binds stay.
pub fn without(g: &Graph) -> Built<(Graph, Vec<Option<Value>>)> {
    let results = g.outputs.iter().filter(|o| o.kind != OutputKind::Metric);
    let bound = g.bindings().map(|(v, ..)| v);
    let needed = g.dependencies(results.clone().map(|o| o.value).chain(bound));
    let mut b = Builder::new(g.name.clone());
    let at = b.inline(g, &needed, |_, _| Ok(None))?;
    for output in results {
        let value = at[output.value.index()].ok_or_else(|| TypeError::new("an output has no value"))?;
        b.output(output.name.clone(), output.kind, value);
    }
    Ok((b.finish()?, at))
}

/// `core`, which has the outputs of `g` but for its metrics, with these. Its values come first. `place` says which of
/// them, if any, is a value of `g`.
pub fn with(g: &Graph, core: &Graph, place: impl Fn(Value) -> Option<Value>) -> Built<Graph> {
    let mut b = Builder::new(g.name.clone());
    let kept = b.inline(core, &vec![true; core.len()], |_, _| Ok(None))?;
    let metrics = g.outputs.iter().filter(|o| o.kind == OutputKind::Metric);
    let needed = g.dependencies(metrics.map(|o| o.value));
    let at = b.inline(g, &needed, |_, v| Ok(place(v).and_then(|v| kept[v.index()])))?;
    let mut results = core.outputs.iter();
    for output in &g.outputs {
        let value = match output.kind {
            OutputKind::Metric => at[output.value.index()],
            _ => results.next().and_then(|o| kept[o.value.index()]),
        };
        let value = value.ok_or_else(|| TypeError::new("an output has no value"))?;
        b.output(output.name.clone(), output.kind, value);
    }
    b.finish()
}
