//! The table of rules. See `README.md` beside this file for how to write one.

use fgc_ir::ops::Op;

use super::node::ENode;
use terms::{Reading, Rewriter, Values};

mod algebra;
pub mod bounds;
mod constants;
mod contract;
mod conv;
mod fits;
mod gather;
mod movement;
mod place;
mod reduce;
mod scale;
mod softmax;
mod strong;
pub mod terms;
mod window;

/// In which sense both sides of a rule are equal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Equality {
    /// In every bit for every operand, infinities and NaN among them; but for the sign of a zero, and which NaN
    /// it is.
    Exact,
    /// In every bit where all values on the left side are finite. Where one isn't, the right side may be finite.
    Finite,
    /// Up to rounding, wherever either side stays in the range of its type on its way to a number.
    Rounding,
    /// Up to rounding, wherever the left side stays in the range of its type. Where it leaves it, by an overflow or
    /// where a product is too small, the right side may have the number that the left side should have.
    Wider,
}

impl Equality {
    /// Whether a value may be computed as either side says, whichever the program has. Otherwise the right side serves
    /// for the left one, but not the other way.
    pub fn both_ways(self) -> bool {
        matches!(self, Equality::Exact | Equality::Rounding)
    }
}

/// A rule: what a node may be replaced by.
pub struct Rule {
    /// Its name, in reports.
    pub name: &'static str,
    /// Both sides, and under which condition they are equal.
    pub about: &'static str,
    /// How equal they are.
    pub equality: Equality,
    /// Whether an operation can be at the root of the left side.
    pub root: fn(&Op) -> bool,
    /// Offers the right sides for a node.
    pub rewrite: fn(Values, &ENode, &mut Rewriter),
}

impl Rule {
    /// Whether it can say something of an operation.
    pub fn is_at(&self, op: &Op) -> bool {
        (self.root)(op) || self.holds_strongly() && strong::plain(op).is_some_and(|op| (self.root)(&op))
    }

    /// Offers the right sides for `n`: as the rule is written, and if it holds of strong products too and there
    /// are any, in that reading.
    pub fn apply(&self, g: Values, n: &ENode, r: &mut Rewriter) {
        if (self.root)(n.op()) {
            (self.rewrite)(g, n, r);
        }
        let is_strong = |n: &ENode| strong::plain(n.op()).is_some();
        // No plain product is taken for a strong one that differs from it.
        let is_product = matches!(n.op(), Op::Binary(op) if op.strong().is_some());
        let below = || (!is_product || g.is_either(n)) && n.args.iter().any(|&a| g.nodes(a).any(is_strong));
        if self.holds_strongly() && (is_strong(n) || below()) {
            r.read(Reading::Strong);
            (self.rewrite)(Values(g.0, Reading::Strong), n, r);
            r.read(Reading::Plain);
        }
    }

    /// Whether it holds as well if each product and quotient in it is a strong one.
    pub fn holds_strongly(&self) -> bool {
        strong::ALSO.contains(&self.name)
    }
}

/// Every rule, in the order in which they are tried.
pub fn table() -> impl Iterator<Item = &'static Rule> {
    let tables: [&'static [Rule]; 12] = [
        constants::RULES,
        algebra::RULES,
        scale::RULES,
        movement::RULES,
        place::RULES,
        reduce::RULES,
        contract::RULES,
        conv::RULES,
        window::RULES,
        gather::RULES,
        softmax::RULES,
        strong::RULES,
    ];
    tables.into_iter().flatten()
}

/// A table with a line for each rule: name, equality, operations at the root, function, and what it says.
macro_rules! rules {
    ($($name:literal $equality:ident $root:pat => $rewrite:expr, $about:literal;)*) => {
        /// The rules.
        pub const RULES: &[super::Rule] = &[$(super::Rule {
            name: $name,
            about: $about,
            equality: super::Equality::$equality,
            root: |op| matches!(op, $root),
            rewrite: $rewrite,
        },)*];
    };
}
use rules;
