//! The rules of comparisons, in words.

use crate::analyse::text::{number, rate, spoken};
use crate::spec::{BestOf, Bounds, Check, Comparison, Order, Sides, Trend};

impl Sides {
    /// The names of both, for people.
    fn titles(&self) -> [String; 2] {
        let best = |own: BestOf| match &self.best {
            Some(best) if best.of == BestOf::Each || best.of == own => " at its best",
            Some(_) => " at the same setting",
            None => "",
        };
        [
            format!("`{}`{}", self.first.title(), best(BestOf::First)),
            format!("`{}`{}", self.second.title(), best(BestOf::Second)),
        ]
    }
}

impl Bounds {
    fn text(&self, shown: fn(f64) -> String) -> String {
        let bound = |word: &str, x: Option<f64>| x.map(|x| format!("at {word} {}", shown(x)));
        [bound("least", self.at_least), bound("most", self.at_most)]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" and ")
    }
}

impl Check {
    /// The bounds of a number that is compared with some.
    pub fn bounds(&self) -> Bounds {
        match *self {
            // Higher, if nothing is said of how much.
            Check::HigherRate { at_least: None, at_most: None, .. } => {
                Bounds { at_least: Some(1.0), at_most: None }
            }
            Check::HigherRate { at_least, at_most, .. }
            | Check::StableRate { at_least, at_most, .. }
            | Check::Reaches { at_least, at_most, .. }
            | Check::Steps { at_least, at_most, .. } => Bounds::new(at_least, at_most),
            _ => unreachable!("a comparison without bounds"),
        }
    }
}

impl Comparison {
    /// The rule, as a clause.
    pub fn rule(&self) -> String {
        match &self.check {
            Check::Compare { of, is, by, times, epoch } => {
                let ([a, b], by, times) = (self.sides().titles(), by.0, times.0);
                let by = if by == 0.0 { String::new() } else { format!(" by {}", number(by)) };
                let factor = if times == 1.0 { String::new() } else { format!(" {} times", number(times)) };
                let order = match is {
                    Order::Less => format!("less{by} than"),
                    Order::More => format!("more{by} than"),
                    Order::Close => format!("within{} of", by.trim_start_matches(" by")),
                    Order::NotLess => format!("not less{by} than"),
                    Order::NotMore => format!("not more{by} than"),
                };
                let when = epoch.map_or("in the end".to_owned(), |epoch| format!("after epoch {epoch}"));
                format!("{} of {a} is {order}{factor} that of {b} {when}", spoken(of.get_ref()))
            }
            Check::Reaches { of, .. } => {
                format!("{} is {}", spoken(of.get_ref()), self.check.bounds().text(number))
            }
            Check::Diverges { expected: true } => "every run diverges".to_owned(),
            Check::Diverges { expected: false } => "no run diverges".to_owned(),
            Check::Noisier { of, times } => {
                let ([a, b], of) = (self.sides().titles(), spoken(of.get_ref()));
                let times = match times.0 {
                    1.0 => "more".to_owned(),
                    times => format!("at least {} times as much", number(times)),
                };
                format!("{of} of {a} varies {times} from one logged step to the next than that of {b}")
            }
            Check::GapGrows { of, along } => {
                let [a, b] = self.sides().titles();
                format!(
                    "the difference in {} between {a} and {b} grows along `{along}`",
                    spoken(of.get_ref())
                )
            }
            Check::Trend { of, along, is, by } => {
                let not = if *is == Trend::Better { "gets better" } else { "doesn't get better" };
                let by = match by.0 {
                    0.0 => String::new(),
                    by => format!(", by {} from one value to the next", number(by)),
                };
                format!("{} {not} along `{along}`{by}", spoken(of.get_ref()))
            }
            Check::HigherRate { .. } => {
                let [a, b] = self.sides().titles();
                format!(
                    "the highest stable rate of {a} is {} times that of {b}",
                    self.check.bounds().text(number)
                )
            }
            Check::StableRate { .. } => {
                format!("the highest stable rate is {}", self.check.bounds().text(rate))
            }
            Check::HighestRate { among, is, .. } => {
                format!("no `{among}` has a higher stable rate than `{is}`")
            }
            Check::RateGapGrows { along, .. } => {
                let [a, b] = self.sides().titles();
                format!("the ratio of the highest stable rate of {a} to that of {b} grows along `{along}`")
            }
            Check::Sooner { of, goal, times } => {
                let ([a, b], of, times) = (self.sides().titles(), spoken(of.get_ref()), number(times.0));
                match goal {
                    None => format!(
                        "the {of} of {a} gets to the last one of {b} in at most {times} times its time"
                    ),
                    Some(goal) => {
                        format!(
                            "the {of} of {a} gets to {} in at most {times} times the time of {b}",
                            number(goal.0)
                        )
                    }
                }
            }
            Check::Steps { of, cost, .. } => {
                let [a, b] = self.sides().titles();
                let what = if cost.is_some() { "time" } else { "number of steps" };
                let of = spoken(of.get_ref());
                format!(
                    "the {what} that {a} takes to a {of} that both reach is {} times that of {b}",
                    self.check.bounds().text(number)
                )
            }
        }
    }
}
