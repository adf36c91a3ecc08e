//! Figures, tables and verdicts of paths.

use fgc_plot::{Axis, Figure, Panel, Point, Role, Series};

use super::cost::colour;
use super::{Judgement, Show, bounded};
use crate::analyse::section::{Case, Section, Table};
use crate::analyse::text::number;
use crate::run::measure::trajectories::{PathPart, PathRecord, STEPS};
use crate::spec::Bounds;
use crate::spec::measure::{Descent, FigureText, PathCheck, Program, Trajectories, distribution};

/// Forward gradients are dashed, so that a line under theirs is seen.
fn dash(which: Program) -> usize {
    usize::from(which == Program::ForwardStep)
}

/// The name of a program in these figures, where nothing is trained.
fn title(which: Program) -> &'static str {
    if which == Program::ForwardStep { "forward gradient" } else { "gradient" }
}

fn of<'a>(
    records: &'a [PathRecord],
    function: &str,
    what: PathPart,
    program: Option<Program>,
) -> impl Iterator<Item = &'a PathRecord> {
    let function = function.to_owned();
    records.iter().filter(move |r| r.function == function && r.what == what && r.program == program)
}

/// The paths on the plane of the parameters.
fn plane(function: &Descent, records: &[PathRecord]) -> Panel {
    let point = |r: &PathRecord| Some(Point::new(r.x?, r.y?));
    let mut lines = Vec::new();
    let mut line = None;
    for r in of(records, &function.name, PathPart::Contour, None) {
        // Lines are apart from each other.
        if line.is_some_and(|line| line != r.run) {
            lines.push(Point::new(f64::NAN, f64::NAN));
        }
        line = Some(r.run);
        lines.extend(point(r));
    }
    let mut series = Vec::new();
    if !lines.is_empty() {
        series.push(Series { role: Role::Backdrop, ..Series::new("contours", 0, 0, lines) });
    }
    // The gradient's one path is above the others.
    for which in STEPS.into_iter().rev() {
        let paths = || of(records, &function.name, PathPart::Path, Some(which));
        for run in 0..=paths().map(|r| r.run).max().unwrap_or(0) {
            let points: Vec<Point> = paths().filter(|r| r.run == run).filter_map(point).collect();
            series.push(Series::new(title(which), colour(which), dash(which), points));
        }
    }
    let axis = |label: &str, [low, high]: [f64; 2]| Axis { range: Some((low, high)), ..Axis::linear(label) };
    Panel { title: function.title.clone(), x: axis("x", function.x), y: axis("y", function.y), series }
}

/// The value of the function against iterations, or against time.
fn losses(function: &Descent, records: &[PathRecord], time: bool) -> Panel {
    let line = |which: Program| {
        let point = |r: &PathRecord| {
            let ms = r.ms.unwrap_or(0.0);
            let x = r.iteration as f64 * if time { ms } else { 1.0 };
            Point { x, y: r.loss, spread: r.low.zip(r.high) }
        };
        let points = of(records, &function.name, PathPart::Loss, Some(which)).map(point).collect();
        Series::new(title(which), colour(which), dash(which), points)
    };
    Panel {
        title: function.title.clone(),
        x: Axis::linear(if time { "time [ms]" } else { "iterations" }).apart(),
        y: Axis::log("f").apart(),
        series: STEPS.map(line).into(),
    }
}

/// The last values of all runs, in increasing order.
fn ends(records: &[PathRecord], function: &str, which: Program) -> Vec<f64> {
    let mut ends: Vec<f64> = of(records, function, PathPart::End, Some(which)).map(|r| r.loss).collect();
    ends.iter_mut().filter(|x| x.is_nan()).for_each(|x| *x = f64::INFINITY);
    ends.sort_by(f64::total_cmp);
    ends
}

fn median(sorted: &[f64]) -> Option<f64> {
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

/// The time of a step, in milliseconds.
fn step_ms(records: &[PathRecord], function: &str, which: Program) -> Option<f64> {
    of(records, function, PathPart::End, Some(which)).find_map(|r| r.ms)
}

fn table(settings: &Trajectories, records: &[PathRecord]) -> Table {
    let headings =
        ["function", "descent by", "runs", "last f, least", "median", "greatest", "not finite", "µs a step"];
    let mut rows = Vec::new();
    for function in &settings.functions {
        for which in STEPS {
            let ends = ends(records, &function.name, which);
            let shown = |x: Option<f64>| x.map_or("–".to_owned(), number);
            let lost = ends.iter().filter(|x| !x.is_finite()).count();
            let ms = step_ms(records, &function.name, which);
            rows.push(vec![
                function.title.clone(),
                title(which).to_owned(),
                ends.len().to_string(),
                shown(ends.first().copied()),
                shown(median(&ends)),
                shown(ends.last().copied()),
                lost.to_string(),
                shown(ms.map(|ms| ms * 1e3)),
            ]);
        }
    }
    Table { title: "Where descent ends".to_owned(), columns: headings.map(str::to_owned).into(), rows }
}

/// The outcome of the ratio of `quantity` with forward gradients to that with the gradient.
fn ratio(
    functions: &[String],
    what: &str,
    quantity: impl Fn(&str, Program) -> Option<f64>,
    bounds: Bounds,
) -> Judgement {
    let case = |name: &String| {
        let [gradient, forward] = STEPS.map(|which| quantity(name, which));
        let ratio = forward? / gradient?;
        Some(Case {
            place: name.clone(),
            measured: number(ratio),
            short: number(ratio),
            holds: Some(bounds.hold(ratio)),
        })
    };
    let rule = format!("{what} is {}", bounded(bounds));
    Judgement { rule, cases: functions.iter().filter_map(case).collect() }
}

impl Show for Trajectories {
    fn section(&self, figure: &FigureText, records: &[PathRecord]) -> Section {
        let panels = self.functions.iter().flat_map(|function| {
            [plane(function, records), losses(function, records, false), losses(function, records, true)]
        });
        let figure = Figure {
            name: "trajectories".to_owned(),
            title: figure.title.clone(),
            caption: figure.caption.clone(),
            columns: figure.columns,
            panels: panels.collect(),
        };
        let described = [
            ("runs with forward gradients", self.runs.to_string()),
            ("directions", distribution(self.tangent).to_owned()),
        ];
        let of = |f: &Descent| (f.title.clone(), format!("rate {}, {} iterations", f.lr, f.iterations));
        let described = described.map(|(name, value)| (name.to_owned(), value));
        Section {
            settings: described.into_iter().chain(self.functions.iter().map(of)).collect(),
            figures: vec![figure],
            tables: vec![table(self, records)],
            ..Section::default()
        }
    }

    fn outcome(&self, check: &PathCheck, records: &[PathRecord]) -> Judgement {
        match check {
            PathCheck::Reaches { functions, loss, share } => {
                let case = |name: &String| {
                    let ends = ends(records, name, Program::ForwardStep);
                    let reached = ends.iter().filter(|&x| x <= loss).count();
                    (!ends.is_empty()).then(|| Case {
                        place: name.clone(),
                        measured: format!("{reached} of {} runs", ends.len()),
                        short: format!("{reached} of {}", ends.len()),
                        holds: Some(reached as f64 >= share * ends.len() as f64),
                    })
                };
                let rule = format!("at least {:.0} % of the runs end with f at most {loss}", 100.0 * share);
                Judgement { rule, cases: functions.iter().filter_map(case).collect() }
            }
            PathCheck::FinalLoss { functions, at_least, at_most } => {
                let last = |name: &str, which| median(&ends(records, name, which));
                ratio(
                    functions,
                    "the median last f over that of the gradient",
                    last,
                    Bounds { at_least: *at_least, at_most: *at_most },
                )
            }
            PathCheck::StepTime { functions, at_least, at_most } => {
                let time = |name: &str, which| step_ms(records, name, which);
                ratio(
                    functions,
                    "the time of a step over that with the gradient",
                    time,
                    Bounds { at_least: *at_least, at_most: *at_most },
                )
            }
        }
    }
}
