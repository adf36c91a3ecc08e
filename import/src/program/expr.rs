//! Expressions of the language, and their texts.

/// An expression.
#[derive(Clone, PartialEq, Debug)]
pub enum Expr {
    /// What a line of the program gives, by its number.
    Line(usize),
    /// A number, a name or another text without operators.
    Atom(String),
    /// A call of a function, as an instance called `label` if there is one.
    Call {
        /// The function.
        name: &'static str,
        /// Its arguments, some of them by name.
        args: Vec<(Option<&'static str>, Expr)>,
        /// The name of the instance.
        label: Option<String>,
    },
    /// An operator between two operands.
    Binary(&'static str, Box<[Expr; 2]>),
    /// An operator in front of an operand.
    Prefix(&'static str, Box<Expr>),
    /// Positions and ranges of a value.
    Index(Box<Expr>, String),
    /// A list.
    List(Vec<Expr>),
}

/// How tightly the loosest operator of a text binds: 1 for `or` up to [`ATOM`].
pub type Strength = u8;

/// The strength of what has no operators.
pub const ATOM: Strength = 10;
const INDEXED: Strength = 9;
const NEGATIVE: Strength = 7;

fn strength(op: &str) -> Strength {
    match op {
        "or" => 1,
        "and" => 2,
        "not" => 3,
        "==" | "!=" | "<" | "<=" | ">" | ">=" => 4,
        "+" | "-" => 5,
        "*" | "/" | "//" | "%" | "@" => 6,
        "**" => 8,
        _ => unreachable!("`{op}` isn't an operator"),
    }
}

impl Expr {
    /// The call `name(args…)`.
    pub fn call(name: &'static str, args: impl IntoIterator<Item = Expr>) -> Expr {
        Expr::Call { name, args: args.into_iter().map(|arg| (None, arg)).collect(), label: None }
    }

    /// A call with one more argument, given by name.
    pub fn with(mut self, key: &'static str, value: impl ToString) -> Expr {
        if let Expr::Call { args, .. } = &mut self {
            args.push((Some(key), Expr::atom(value)));
        }
        self
    }

    /// A call as the instance `label`.
    pub fn labelled(mut self, name: String) -> Expr {
        if let Expr::Call { label, .. } = &mut self {
            *label = Some(name);
        }
        self
    }

    /// A text without operators.
    pub fn atom(text: impl ToString) -> Expr {
        Expr::Atom(text.to_string())
    }

    /// The number `x`: a whole one without a point.
    pub fn number(x: f64) -> Expr {
        Expr::Atom(number(x))
    }

    /// `a op b`.
    pub fn binary(op: &'static str, a: Expr, b: Expr) -> Expr {
        Expr::Binary(op, Box::new([a, b]))
    }

    /// `op a`.
    pub fn prefix(op: &'static str, a: Expr) -> Expr {
        Expr::Prefix(op, Box::new(a))
    }

    /// `a[index]`.
    pub fn index(self, index: impl Into<String>) -> Expr {
        Expr::Index(Box::new(self), index.into())
    }

    /// Calls `f` with the numbers of all lines in it, from left to right.
    pub fn lines(&self, f: &mut impl FnMut(usize)) {
        match self {
            Expr::Line(k) => f(*k),
            Expr::Atom(_) => {}
            Expr::Call { args, .. } => args.iter().for_each(|(_, arg)| arg.lines(f)),
            Expr::Binary(_, both) => both.iter().for_each(|x| x.lines(f)),
            Expr::Prefix(_, x) | Expr::Index(x, _) => x.lines(f),
            Expr::List(items) => items.iter().for_each(|x| x.lines(f)),
        }
    }

    /// Calls `f` with the names of all functions that are called in it.
    pub fn calls(&self, f: &mut impl FnMut(&'static str)) {
        match self {
            Expr::Line(_) | Expr::Atom(_) => {}
            Expr::Call { name, args, .. } => {
                f(name);
                args.iter().for_each(|(_, arg)| arg.calls(f));
            }
            Expr::Binary(_, both) => both.iter().for_each(|x| x.calls(f)),
            Expr::Prefix(_, x) | Expr::Index(x, _) => x.calls(f),
            Expr::List(items) => items.iter().for_each(|x| x.calls(f)),
        }
    }

    /// Its text, where `line` gives that of a line.
    pub fn text(&self, line: &impl Fn(usize) -> (String, Strength)) -> (String, Strength) {
        // In parentheses if it binds less than `least`.
        let part = |x: &Expr, least: Strength| match x.text(line) {
            (text, s) if s < least => format!("({text})"),
            (text, _) => text,
        };
        match self {
            Expr::Line(k) => line(*k),
            Expr::Atom(text) => (text.clone(), if text.starts_with('-') { NEGATIVE } else { ATOM }),
            Expr::Call { name, args, label } => {
                let arg = |(key, x): &(Option<&str>, Expr)| match key {
                    None => part(x, 0),
                    Some(key) => format!("{key}={}", part(x, 0)),
                };
                let args: Vec<String> = args.iter().map(arg).collect();
                match label {
                    None => (format!("{name}({})", args.join(", ")), ATOM),
                    // `f(x) as y` is taken for a whole by any operator, but reads as one in parentheses only.
                    Some(label) => (format!("{name}({}) as {label}", args.join(", ")), 0),
                }
            }
            Expr::Binary(op, both) => {
                let own = strength(op);
                let left = if own == 4 || *op == "**" { own + 1 } else { own };
                (format!("{} {op} {}", part(&both[0], left), part(&both[1], own + 1)), own)
            }
            Expr::Prefix("-", x) => (format!("-{}", part(x, NEGATIVE + 1)), NEGATIVE),
            Expr::Prefix(op, x) => (format!("{op} {}", part(x, strength(op) + 1)), strength(op)),
            Expr::Index(x, index) => (format!("{}[{index}]", part(x, INDEXED)), INDEXED),
            Expr::List(items) => {
                let items: Vec<String> = items.iter().map(|x| part(x, 0)).collect();
                (format!("[{}]", items.join(", ")), ATOM)
            }
        }
    }
}

/// `x`, of single precision, as the language writes it.
pub fn number(x: f64) -> String {
    if x.is_infinite() {
        return if x < 0.0 { "-inf" } else { "inf" }.to_owned();
    }
    let single = x as f32;
    // Numbers that were computed in double precision have digits that single precision doesn't keep.
    if x.fract() == 0.0 && x.abs() < 1e7 {
        format!("{}", x as i64)
    } else if single == 0.0 || single.is_infinite() {
        format!("{x:e}")
    } else if (1e-4..1e7).contains(&single.abs()) {
        format!("{single}")
    } else {
        format!("{single:e}")
    }
}

/// `sizes` as one number if they are all the same, else as a list.
pub fn each(sizes: &[i64]) -> String {
    match sizes.split_first() {
        Some((first, rest)) if rest.iter().all(|x| x == first) => first.to_string(),
        _ => format!("{sizes:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parentheses_are_where_they_are_needed() {
        let x = || Expr::atom("x");
        let text = |e: Expr| e.text(&|k| (format!("v{k}"), ATOM)).0;
        let sum = || Expr::binary("+", x(), Expr::Line(1));
        assert_eq!(text(Expr::binary("*", sum(), Expr::number(2.0))), "(x + v1) * 2");
        assert_eq!(text(Expr::binary("-", sum(), sum())), "x + v1 - (x + v1)");
        assert_eq!(text(Expr::binary("**", Expr::number(-2.0), Expr::number(-0.5))), "(-2) ** (-0.5)");
        assert_eq!(text(Expr::prefix("not", Expr::binary("<", x(), x()))), "not x < x");
        assert_eq!(text(Expr::prefix("-", sum()).index(":, 0")), "(-(x + v1))[:, 0]");
        let layer = Expr::call("dense", [x(), Expr::number(3.0)]).labelled("fc".to_owned());
        assert_eq!(text(layer.clone()), "dense(x, 3) as fc");
        assert_eq!(text(Expr::binary("+", layer.clone(), x())), "(dense(x, 3) as fc) + x");
        assert_eq!(text(Expr::call("relu", [layer])), "relu(dense(x, 3) as fc)");
    }

    #[test]
    fn numbers_have_the_digits_of_single_precision() {
        let texts = [0.1f32 as f64, 1e-5, -3.0, 1e30, f64::from(f32::MIN), 0.35355339059327373].map(number);
        assert_eq!(texts, ["0.1", "1e-5", "-3", "1e30", "-3.4028235e38", "0.35355338"]);
        assert_eq!(number(f64::NEG_INFINITY), "-inf");
    }
}
