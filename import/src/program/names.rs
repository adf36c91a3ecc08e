//! Names of a source as identifiers of the language.

use std::collections::HashSet;

/// Words that have a meaning in the language.
const WORDS: [&str; 31] = [
    "and",
    "as",
    "batch",
    "bool",
    "const",
    "else",
    "estimator",
    "f32",
    "f64",
    "false",
    "fn",
    "graph",
    "i32",
    "if",
    "inf",
    "init",
    "local",
    "loss",
    "metric",
    "model",
    "not",
    "optimizer",
    "or",
    "output",
    "param",
    "repeat",
    "require",
    "return",
    "state",
    "training",
    "true",
];

/// The most letters of a name.
const LONGEST: usize = 64;

/// Names that are given already.
#[derive(Debug, Default)]
pub struct Names {
    given: HashSet<String>,
    /// What hints begin with that is left out.
    prefix: String,
}

impl Names {
    /// Names without `outer`, a module that all is in.
    pub fn within(outer: &str) -> Names {
        Names { prefix: format!("{}_", identifier(outer)), ..Names::default() }
    }

    /// An identifier like `hint` that wasn't given before.
    pub fn unique(&mut self, hint: &str) -> String {
        let name = identifier(hint);
        let inner = name.strip_prefix(&self.prefix).filter(|_| !self.prefix.is_empty());
        let name = inner.map_or(name.clone(), identifier);
        let taken = |name: &str| WORDS.contains(&name) || self.given.contains(name);
        let free = if taken(&name) {
            let Some(free) = (2..).map(|k: usize| format!("{name}_{k}")).find(|n| !taken(n)) else {
                unreachable!("there are more numbers than names")
            };
            free
        } else {
            name
        };
        self.given.insert(free.clone());
        free
    }
}

/// The identifier that `name` is without what an identifier can't have.
pub fn identifier(name: &str) -> String {
    let mut id = String::new();
    for c in name.chars() {
        let c = if c.is_ascii_alphanumeric() { c } else { '_' };
        if c != '_' || !(id.is_empty() || id.ends_with('_')) {
            id.push(c);
        }
    }
    id.truncate(LONGEST);
    let id = id.trim_end_matches('_');
    match id.chars().next() {
        None => "v".to_owned(),
        Some(c) if c.is_ascii_digit() => format!("v{id}"),
        Some(_) => id.to_owned(),
    }
}

/// What is left of the name of a value or parameter, such as `/layer1/layer1.0/relu/Relu_output_0`, without what exporters
/// put around it: the operator `op`, the names of outer modules that those of inner ones begin with, and ends like `:0`.
pub fn cleaned(name: &str, op: &str) -> String {
    let name = name.strip_suffix(":0").unwrap_or(name);
    let name = name.strip_suffix("_output_0").unwrap_or(name);
    let name = name.strip_prefix("onnx::").unwrap_or(name);
    let mut parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty()).collect();
    parts.retain(|part| !part.starts_with("ReadVariableOp") && *part != "Cast");
    let numbered = |part: &str, op: &str| {
        part.strip_prefix(op).is_some_and(|rest| {
            rest.is_empty() || rest.strip_prefix('_').is_some_and(|n| n.parse::<u32>().is_ok())
        })
    };
    let mut kept: Vec<String> = Vec::new();
    for (k, part) in parts.iter().enumerate() {
        let last = k + 1 == parts.len();
        // `layer1/layer1.0` is `layer1.0`.
        while kept.last().is_some_and(|outer| {
            part.strip_prefix(outer.as_str()).is_some_and(|rest| rest.starts_with('.') || rest.is_empty())
        }) {
            kept.pop();
        }
        if last && !op.is_empty() && numbered(part, op) {
            let lower = part.to_ascii_lowercase();
            let said = kept
                .last()
                .is_some_and(|outer| outer.to_ascii_lowercase().contains(&op.to_ascii_lowercase()));
            if !said {
                kept.push(lower);
            }
        } else {
            kept.push((*part).to_owned());
        }
    }
    kept.join(".")
}

/// The layer that a parameter called `name` is of: `fc` of `fc.weight`.
pub fn layer(name: &str) -> String {
    let name = cleaned(name, "");
    let ends = [".weight", ".bias", ".kernel", ".gamma", ".beta", ".running_mean", ".embeddings", ".scale"];
    let ends = ends.iter().chain(&["_weight", "_bias", ".Conv2D", ".MatMul", ".depthwise"]);
    ends.filter_map(|end| name.strip_suffix(end)).next().unwrap_or(&name).to_owned()
}

/// The module that all parameters called `names` are in, if there are several and one.
pub fn outer<'n>(names: impl Iterator<Item = &'n str>) -> Option<String> {
    let firsts: Vec<String> = names
        .map(|name| cleaned(name, "").split_once('.').map(|(first, _)| first.to_owned()))
        .collect::<Option<_>>()?;
    let first = firsts.first().filter(|_| firsts.len() > 1)?;
    firsts.iter().all(|other| other == first).then(|| first.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_exporters_become_short() {
        assert_eq!(cleaned("/layer1/layer1.0/relu/Relu_output_0", "Relu"), "layer1.0.relu");
        assert_eq!(cleaned("/layer1/layer1.0/Add_1_output_0", "Add"), "layer1.0.add_1");
        assert_eq!(cleaned("model/conv2d/Conv2D/ReadVariableOp:0", ""), "model.conv2d.Conv2D");
        assert_eq!(cleaned("/Relu_output_0", "Relu"), "relu");
        assert_eq!(cleaned("linear_2", "Gemm"), "linear_2");
        assert_eq!(layer("transformer.h.0.attn.c_attn.weight"), "transformer.h.0.attn.c_attn");
    }

    #[test]
    fn identifiers_are_words_and_differ() {
        let mut names = Names::default();
        let mut name = |hint: &str| names.unique(hint);
        assert_eq!([name("fc.0"), name("fc/0"), name("fc__0")], ["fc_0", "fc_0_2", "fc_0_3"]);
        assert_eq!([name("0"), name(""), name("é"), name("batch")], ["v0", "v", "v_2", "batch_2"]);
        assert_eq!(name(&"x".repeat(1000)).len(), LONGEST);
        let names = ["net.fc.weight", "net.fc.bias"];
        let mut within = Names::within(&outer(names.into_iter()).unwrap());
        assert_eq!(
            [within.unique("net.fc"), within.unique("net"), within.unique("fc")],
            ["fc", "net", "fc_2"]
        );
        assert_eq!((outer(["fc.weight", "w"].into_iter()), outer(["fc.weight"].into_iter())), (None, None));
    }
}
