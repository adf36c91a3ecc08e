//! Figures, tables and verdicts of what programs cost.

use fgc_plot::{Axis, Figure, Panel, Point, Series};

use super::{Judgement, Show, bounded};
use crate::analyse::section::{Case, Section, Table};
use crate::analyse::text::number;
use crate::run::measure::cost::CostRecord;
use crate::spec::measure::{CostCheck, Costs, Curve, FigureText, Program, Quantity, distribution};
use crate::spec::{Bounds, Cost};

/// The most values of a curve that tables have.
const ROWS: usize = 8;

/// The colour of what belongs to no program.
const OTHER: usize = 4;

/// The colour of a program in figures: what belongs to forward mode has one, what belongs to backprop another.
pub fn colour(program: Program) -> usize {
    match program {
        Program::Backprop | Program::BackpropStep => 0,
        Program::ForwardGradient | Program::ForwardStep => 1,
        Program::Jvp => 2,
        Program::Forward => 3,
        Program::BackpropCheckpoints => 5,
    }
}

impl Quantity {
    /// The label of an axis, with the unit.
    fn label(self) -> &'static str {
        match self {
            Quantity::Time => "time of a call [ms]",
            Quantity::Relative => "time over that of the function",
            Quantity::Operations => "operations [GFLOP]",
            Quantity::Memory => "memory of all arrays [MB]",
            Quantity::Workspace => "memory beyond what is bound and given [MB]",
        }
    }

    /// The name within a sentence.
    fn short(self) -> &'static str {
        match self {
            Quantity::Time | Quantity::Relative => "time",
            Quantity::Operations => "operations",
            Quantity::Memory => "memory",
            Quantity::Workspace => "memory beyond what is bound and given",
        }
    }
}

/// The records of one curve.
struct Measured<'a>(Vec<&'a CostRecord>);

impl<'a> Measured<'a> {
    fn of(records: &'a [CostRecord], curve: &str) -> Measured<'a> {
        Measured(records.iter().filter(|r| r.curve == curve).collect())
    }

    fn at(&self, program: Program, x: u32) -> Option<&'a CostRecord> {
        self.0.iter().find(|r| r.program == program && r.x == x).copied()
    }

    /// The values along the curve, in increasing order.
    fn values(&self) -> Vec<u32> {
        let mut values: Vec<u32> = self.0.iter().map(|r| r.x).collect();
        values.sort_unstable();
        values.dedup();
        values
    }

    /// A quantity of `r`; `None` if it wasn't measured.
    fn quantity(&self, r: &CostRecord, quantity: Quantity) -> Option<f64> {
        let timed = |r: &CostRecord| (r.calls > 0).then_some(r.ms);
        match quantity {
            Quantity::Time => timed(r),
            Quantity::Relative => {
                let function = self.at(Program::Forward, r.x).and_then(timed)?;
                timed(r).map(|ms| ms / function)
            }
            Quantity::Operations => Some(r.flops as f64 * 1e-9),
            Quantity::Memory => Some(r.bytes as f64 * 1e-6),
            Quantity::Workspace => Some(r.bytes.saturating_sub(r.interface_bytes) as f64 * 1e-6),
        }
    }
}

fn panel(curve: &Curve, quantity: Quantity, records: &[CostRecord]) -> Panel {
    let measured = Measured::of(records, &curve.name);
    let axis = |label: &str| if curve.log { Axis::log(label) } else { Axis::linear(label) };
    let line = |name: &str, colour: usize, dash: usize, point: &dyn Fn(u32) -> Option<Point>| {
        Series::new(name, colour, dash, measured.values().into_iter().filter_map(point).collect())
    };
    let mut series = Vec::new();
    for &program in &curve.programs {
        let is_unit = quantity == Quantity::Relative && program == Program::Forward;
        if is_unit {
            continue;
        }
        let point = |x: u32| {
            let r = measured.at(program, x)?;
            let y = measured.quantity(r, quantity)?;
            let spread = (quantity == Quantity::Time).then_some((r.low_ms, r.high_ms));
            Some(Point { x: x.into(), y, spread })
        };
        series.push(line(program.title(), colour(program), 0, &point));
        if quantity == Quantity::Time {
            let least = |x: u32| {
                let r = measured.at(program, x).filter(|r| r.peak_flops > 0.0)?;
                Some(Point::new(x.into(), r.flops as f64 / r.peak_flops * 1e3))
            };
            let name = format!("{}: its operations at the peak rate", program.title());
            series.push(line(&name, colour(program), 1, &least));
        }
    }
    let both = [Program::ForwardGradient, Program::Backprop];
    if quantity == Quantity::Relative && both.iter().all(|p| curve.programs.contains(p)) {
        let ratio = |x: u32| {
            let [f, b] = both.map(|p| measured.at(p, x).and_then(|r| measured.quantity(r, quantity)));
            Some(Point::new(x.into(), f? / b?))
        };
        series.push(line("forward gradient over backprop", OTHER, 2, &ratio));
    }
    Panel {
        title: curve.title.clone(),
        x: axis(curve.along.as_deref().unwrap_or_default()),
        y: axis(quantity.label()),
        series,
    }
}

/// Up to [`ROWS`] of `values`, the first and the last among them.
fn some(values: &[u32]) -> Vec<u32> {
    if values.len() <= ROWS {
        return values.to_vec();
    }
    let at = |k: usize| k * (values.len() - 1) / (ROWS - 1);
    (0..ROWS).filter_map(|k| values.get(at(k)).copied()).collect()
}

/// A table for each curve.
fn tables(settings: &Costs, records: &[CostRecord]) -> Vec<Table> {
    let one = |curve: &Curve| {
        let measured = Measured::of(records, &curve.name);
        let timed = measured.0.iter().any(|r| r.calls > 0);
        let mut columns: Vec<String> = curve.along.iter().cloned().collect();
        columns.extend(["program", "GFLOP"].map(str::to_owned));
        if timed {
            columns.extend(["ms", "over the function", "GFLOP/s"].map(str::to_owned));
        }
        columns.extend(["memory, MB", "beyond the interface, MB"].map(str::to_owned));
        let mut rows = Vec::new();
        for x in some(&measured.values()) {
            for r in curve.programs.iter().filter_map(|&program| measured.at(program, x)) {
                let shown = |q: Quantity| measured.quantity(r, q).map_or("–".to_owned(), number);
                let mut row: Vec<String> = curve.along.iter().map(|_| x.to_string()).collect();
                row.extend([r.program.title().to_owned(), shown(Quantity::Operations)]);
                if timed {
                    let rate =
                        if r.ms > 0.0 { number(r.flops as f64 / r.ms * 1e-6) } else { "–".to_owned() };
                    row.extend([shown(Quantity::Time), shown(Quantity::Relative), rate]);
                }
                row.extend([shown(Quantity::Memory), shown(Quantity::Workspace)]);
                rows.push(row);
            }
        }
        let threads = measured.0.first().map_or(0, |r| r.threads);
        let s = if threads == 1 { "" } else { "s" };
        let title = if timed {
            format!("{}: medians on {threads} thread{s}", curve.title)
        } else {
            format!("{}: as planned", curve.title)
        };
        Table { title, columns, rows }
    };
    settings.curves.iter().map(one).collect()
}

/// The settings, for the report.
fn described(settings: &Costs, records: &[CostRecord]) -> Vec<(String, String)> {
    let threads = records.first().map_or_else(String::new, |r| r.threads.to_string());
    let directions = distribution(settings.tangent).to_owned();
    [("threads", threads), ("directions", directions), ("seed", settings.seed.to_string())]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
}

/// The median time of one program over that of another, if both were timed.
pub fn time_ratio(records: &[CostRecord], cost: &Cost) -> Option<f64> {
    let ms = |program| {
        let fits =
            |r: &&CostRecord| r.curve == cost.curve && r.x == cost.x && r.program == program && r.calls > 0;
        records.iter().find(fits).map(|r| r.ms)
    };
    Some(ms(cost.of)? / ms(cost.to)?)
}

impl Show for Costs {
    fn section(&self, figure: &FigureText, records: &[CostRecord]) -> Section {
        let panels = self.curves.iter().flat_map(|c| c.panels.iter().map(move |&q| panel(c, q, records)));
        let figure = Figure {
            name: "cost".to_owned(),
            title: figure.title.clone(),
            caption: figure.caption.clone(),
            columns: figure.columns,
            panels: panels.collect(),
        };
        Section {
            figures: if figure.panels.is_empty() { Vec::new() } else { vec![figure] },
            tables: tables(self, records),
            settings: described(self, records),
            ..Section::default()
        }
    }

    fn outcome(&self, check: &CostCheck, records: &[CostRecord]) -> Judgement {
        match check {
            CostCheck::Ratio { curves, of, to, quantity, at_least, at_most } => {
                let bounds = Bounds { at_least: *at_least, at_most: *at_most };
                let case = |name: &String| {
                    let measured = Measured::of(records, name);
                    let ratio = |x: u32| {
                        let [of, to] = [*of, *to]
                            .map(|p| measured.at(p, x).and_then(|r| measured.quantity(r, *quantity)));
                        Some((x, of? / to?))
                    };
                    let along = |x: u32| if x == 0 { name.clone() } else { format!("{name} {x}") };
                    let ratios = measured.values().into_iter().filter_map(ratio);
                    let case = |(x, ratio): (u32, f64)| Case {
                        place: along(x),
                        measured: number(ratio),
                        short: number(ratio),
                        holds: Some(bounds.hold(ratio)),
                    };
                    ratios.map(case).collect::<Vec<_>>()
                };
                let (what, of, to) = (quantity.short(), of.title(), to.title());

                let rule = format!("the {what} of `{of}` over that of `{to}` is {}", bounded(bounds));
                Judgement { rule, cases: curves.iter().flat_map(case).collect() }
            }
            CostCheck::Growth { curve, of, quantity, from, at_least, at_most } => {
                let bounds = Bounds { at_least: *at_least, at_most: *at_most };
                let measured = Measured::of(records, curve);
                let values = measured.values();
                let first = from.or(values.first().copied()).unwrap_or(0);
                let last = values.last().copied().unwrap_or(0);
                let [a, b] =
                    [first, last].map(|x| measured.at(*of, x).and_then(|r| measured.quantity(r, *quantity)));
                let case = |(a, b): (f64, f64)| Case {
                    place: String::new(),
                    measured: format!(
                        "{} at {first}, {} at {last}, {} times as much",
                        number(a),
                        number(b),
                        number(b / a)
                    ),
                    short: format!("× {}", number(b / a)),
                    holds: Some(bounds.hold(b / a)),
                };
                let (what, of) = (quantity.short(), of.title());
                let rule = format!(
                    "the {what} of `{of}` grows from the first value to the last by a factor of {}",
                    bounded(bounds)
                );
                Judgement { rule, cases: a.zip(b).into_iter().map(case).collect() }
            }
        }
    }
}
