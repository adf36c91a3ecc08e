//! What comparisons ask, in words.

use super::{Bounds, Check, Order, Sides};
use crate::select::number;
use crate::{show, spoken};

impl Sides {
    /// What people call both.
    fn titles(&self) -> [String; 2] {
        let best = |k: usize| match &self.best {
            Some(best) if best.of.is_none_or(|of| of == k) => " at its best",
            Some(_) => " at the same setting",
            None => "",
        };
        [format!("`{}`{}", self.first.title(), best(0)), format!("`{}`{}", self.second.title(), best(1))]
    }
}

impl Bounds {
    fn told(&self, text: fn(f64) -> String) -> String {
        let bound = |word: &str, x: Option<f64>| x.map(|x| format!("at {word} {}", text(x)));
        [bound("least", self.at_least), bound("most", self.at_most)]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" and ")
    }
}

impl Check {
    /// What is expected, as a clause.
    pub fn rule(&self) -> String {
        match self {
            Check::Compare { of, sides, order, by, times, epoch } => {
                let [a, b] = sides.titles();
                let by = if *by == 0.0 { String::new() } else { format!(" by {}", number(*by)) };
                let factor = if *times == 1.0 { String::new() } else { format!(" {} times", number(*times)) };
                let order = match order {
                    Order::Less => format!("less{by} than"),
                    Order::More => format!("more{by} than"),
                    Order::Close => format!("within{} of", by.trim_start_matches(" by")),
                    Order::NotLess => format!("not less{by} than"),
                    Order::NotMore => format!("not more{by} than"),
                };
                let when = epoch.map_or("in the end".to_owned(), |epoch| format!("after epoch {epoch}"));
                format!("{} of {a} is {order}{factor} that of {b} {when}", spoken(of))
            }
            Check::Reaches { of, bounds } => format!("{} is {}", spoken(of), bounds.told(number)),
            Check::Diverges { expected: true } => "every run diverges".to_owned(),
            Check::Diverges { expected: false } => "no run diverges".to_owned(),
            Check::Noisier { of, sides, times } => {
                let ([a, b], of) = (sides.titles(), spoken(of));
                let times = match *times {
                    1.0 => "more".to_owned(),
                    times => format!("at least {} times as much", number(times)),
                };
                format!("{of} of {a} varies {times} from one logged step to the next than that of {b}")
            }
            Check::GapGrows { of, sides, along } => {
                let [a, b] = sides.titles();
                format!("the difference in {} between {a} and {b} grows along `{along}`", spoken(of))
            }
            Check::Trend { of, along, better, by } => {
                let not = if *better { "gets better" } else { "doesn't get better" };
                let by = match *by {
                    0.0 => String::new(),
                    by => format!(", by {} from one value to the next", number(by)),
                };
                format!("{} {not} along `{along}`{by}", spoken(of))
            }
            Check::HigherRate { sides, bounds, .. } => {
                let [a, b] = sides.titles();
                format!("the highest stable rate of {a} is {} times that of {b}", bounds.told(number))
            }
            Check::StableRate { bounds, .. } => {
                format!("the highest stable rate is {}", bounds.told(show::rate))
            }
            Check::HighestRate { among, is, .. } => {
                format!("no `{among}` has a higher stable rate than `{is}`")
            }
            Check::RateGapGrows { sides, along, .. } => {
                let [a, b] = sides.titles();
                format!("the ratio of the highest stable rate of {a} to that of {b} grows along `{along}`")
            }
            Check::Sooner { of, sides, times } => {
                let ([a, b], of, times) = (sides.titles(), spoken(of), number(*times));
                format!("the {of} of {a} gets to the last one of {b} in at most {times} times its time")
            }
            Check::Steps { of, sides, bounds, cost } => {
                let [a, b] = sides.titles();
                let what = if cost.is_some() { "time" } else { "number of steps" };
                let of = spoken(of);
                format!(
                    "the {what} that {a} takes to a {of} that both reach is {} times that of {b}",
                    bounds.told(number)
                )
            }
        }
    }
}
