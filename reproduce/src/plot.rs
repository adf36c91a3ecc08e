//! Figures of training, from rows of results.

use std::collections::{BTreeMap, BTreeSet};

use fgc_train::Result;
use fgc_train::ranges::at_most;

use crate::experiment::{Matrix, Wanted};
use crate::limits::{MAX_LINES, MAX_PANELS, product};
use crate::read::{Item, Reader};
use crate::results::{Moment, Row};
use crate::select::{Kind, Mean, Where};
use fgc_plot::{Axis, Figure, Panel, Point, Scale, Series, Stop};

/// A figure, as TOML says it.
#[derive(Clone, PartialEq, Debug)]
pub struct Plot {
    name: String,
    title: String,
    caption: String,
    columns: usize,
    matrix: Matrix,
    chosen: Where,
    /// The axis that has a panel for each value.
    panels: Option<String>,
    /// The axes whose values make lines: colours by the first, dashes by the others.
    series: Vec<String>,
    x: Across,
    x_scale: Scale,
    y: Vec<Measure>,
    wanted: Vec<Wanted>,
}

/// What the horizontal axis is.
#[derive(Clone, PartialEq, Debug)]
enum Across {
    Step,
    Epoch,
    Seconds,
    /// An axis of the matrix, by numbers that its values are called.
    Axis(String),
}

/// What the vertical axis is.
#[derive(Clone, PartialEq, Debug)]
struct Measure {
    of: String,
    label: String,
    scale: Scale,
    range: Option<(f64, f64)>,
    /// Of which rows.
    moment: Moment,
    /// How many rows are one point.
    mean_of: usize,
}

/// The matrix that `table` names in `matrix`; the first if it names none.
///
/// # Errors
/// If there is none of that name.
pub fn matrix<'m>(table: &Reader<'_>, matrices: &'m [Matrix]) -> Result<&'m Matrix> {
    match table.get("matrix") {
        Some(item) => {
            let name = item.text()?;
            let found = matrices.iter().find(|m| m.name == name);
            found.ok_or_else(|| item.unknown(name, matrices.iter().map(|m| m.name.as_str())))
        }
        None => matrices.first().ok_or_else(|| table.error("there is no matrix")),
    }
}

/// Axes of `matrix` that a list names.
///
/// # Errors
/// If there are none of these names.
pub fn axes(item: &Item<'_>, matrix: &Matrix) -> Result<Vec<String>> {
    let axis = |item: &Item<'_>| Ok(matrix.axis(item, item.text()?)?.name.clone());
    item.list()?.iter().map(axis).collect()
}

fn scale(table: &Reader<'_>, key: &'static str, default: Scale) -> Result<Scale> {
    let Some(item) = table.get(key) else { return Ok(default) };
    match item.text()? {
        "linear" => Ok(Scale::Linear),
        "log" => Ok(Scale::Log),
        other => Err(item.unknown(other, ["linear", "log"].into_iter())),
    }
}

impl Plot {
    /// The figure that `item` describes, of runs of `matrices`.
    ///
    /// # Errors
    /// If something is wrong in it, with its place.
    pub fn read(item: &Item<'_>, matrices: &[Matrix]) -> Result<Plot> {
        let table = item.table()?;
        let matrix = matrix(&table, matrices)?;
        let named = table.need("name")?;
        let name = named.text()?;
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
            return Err(named.error("the name of a figure is of letters, digits, `-` and `_`"));
        }
        let chosen = table.get("where").map(|item| Where::read(&item, matrix)).transpose()?;
        let panels = table.get("panels").map(|item| Ok(matrix.axis(&item, item.text()?)?.name.clone()));
        let across = table.need("x")?;
        let x = match across.text()? {
            "step" => Across::Step,
            "epoch" => Across::Epoch,
            "seconds" => Across::Seconds,
            axis => Across::Axis(matrix.axis(&across, axis)?.name.clone()),
        };
        let default = if matches!(x, Across::Axis(_)) { Scale::Log } else { Scale::Linear };
        let y = table.need("y")?.list()?;
        let wanted = y.iter().map(|item| {
            let of = item.table()?.need("of")?;
            Ok(Wanted { matrix: matrix.name.clone(), of: of.text()?.to_owned(), at: of.span() })
        });
        let plot = Plot {
            name: name.to_owned(),
            title: table.need("title")?.text()?.to_owned(),
            caption: table.get("caption").map_or(Ok(""), |item| item.text())?.to_owned(),
            columns: table.get("columns").map_or(Ok(3), |item| item.whole(1))? as usize,
            matrix: matrix.clone(),
            chosen: chosen.unwrap_or_default(),
            panels: panels.transpose()?,
            series: table.get("series").map_or_else(|| Ok(Vec::new()), |item| axes(&item, matrix))?,
            x_scale: scale(&table, "x_scale", default)?,
            y: y.iter().map(|item| Measure::read(item, &x)).collect::<Result<_>>()?,
            wanted: wanted.collect::<Result<_>>()?,
            x,
        };
        table.finish()?;
        let of_axes = |axes: &[&String]| axes.iter().map(|axis| plot.values(axis).len()).collect::<Vec<_>>();
        let panels =
            product(of_axes(&plot.panels.iter().collect::<Vec<_>>()).into_iter().chain([plot.y.len()]));
        let lines = product(of_axes(&plot.series.iter().collect::<Vec<_>>()));
        at_most("the number of panels", panels, MAX_PANELS as u64)
            .and_then(|_| at_most("the number of lines in a panel", lines, MAX_LINES as u64))
            .map_err(|e| table.error(e))?;
        let shown = |axis: &str| {
            plot.panels.as_deref() == Some(axis)
                || plot.series.iter().any(|s| s == axis)
                || plot.x == Across::Axis(axis.to_owned())
                || plot.chosen.0.get(axis).is_some_and(|labels| labels.len() == 1)
        };
        if let Some(axis) = matrix.axes.iter().find(|axis| axis.known.len() > 1 && !shown(&axis.name)) {
            let name = &axis.name;
            return Err(table.error(format_args!(
                "runs that differ by `{name}` would be one line: put it into `panels`, `series`, `x` or `where`"
            )));
        }
        Ok(plot)
    }

    /// What its files are called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The quantities that it shows.
    pub fn wanted(&self) -> &[Wanted] {
        &self.wanted
    }

    /// The figure, of `rows`.
    pub fn draw(&self, rows: &[Row]) -> Figure {
        let panels = match &self.panels {
            Some(axis) => {
                self.values(axis).into_iter().map(|v| (v.clone(), self.chosen.with(axis, &v))).collect()
            }
            None => vec![(String::new(), self.chosen.clone())],
        };
        let panel = |measure: &Measure, (title, chosen): &(String, Where)| Panel {
            title: title.clone(),
            x: self.x_axis(),
            y: Axis { range: measure.range, scale: measure.scale, ..Axis::linear(&measure.label) },
            series: self.lines(rows, measure, chosen),
        };
        let panels = self.y.iter().flat_map(|measure| panels.iter().map(move |of| panel(measure, of)));
        let mut figure = Figure {
            name: self.name.clone(),
            title: self.title.clone(),
            caption: String::new(),
            columns: self.columns,
            panels: panels.collect(),
        };
        figure.caption = [self.caption.trim(), &self.points_are(rows, &figure)].join(" ").trim().to_owned();
        figure
    }

    /// What the points of `figure`, its bands and its crosses are.
    fn points_are(&self, rows: &[Row], figure: &Figure) -> String {
        let course = !matches!(self.x, Across::Axis(_));
        let mut kinds: Vec<String> = Vec::new();
        for measure in &self.y {
            let of = match (course, measure.moment) {
                (false, _) => "the last epoch".to_owned(),
                (true, Moment::Step) if measure.mean_of > 1 => {
                    format!("means of {} logged steps", measure.mean_of)
                }
                (true, Moment::Step) => "logged steps".to_owned(),
                (true, _) => "ends of epochs".to_owned(),
            };
            let text = format!("{of} ({})", measure.label);
            if !kinds.contains(&text) {
                kinds.push(text);
            }
        }
        let mut told = format!("Points are {}", kinds.join(", "));
        let seeds: BTreeSet<u64> =
            rows.iter().filter(|row| row.matrix == self.matrix.name).map(|row| row.seed).collect();
        if seeds.len() > 1 {
            told += &format!(
                "; lines are means over {} seeds, bands go from the lowest to the highest",
                seeds.len()
            );
        }
        let mut series = figure.panels.iter().flat_map(|panel| &panel.series);
        if series.any(|s| s.stops.is_some() || s.points.last().is_some_and(|p| p.y.is_nan())) {
            told += match course {
                true => {
                    ". A cross is where the loss of the first seed isn't finite any more, at the frame's edge if that is \
                     before the first point"
                }
                false => ". A cross is at the last rate before the first at which a seed diverges",
            };
        }
        told + "."
    }

    fn x_axis(&self) -> Axis {
        let label = match &self.x {
            Across::Step => "step",
            Across::Epoch => "epoch",
            Across::Seconds => "seconds",
            Across::Axis(name) => name,
        };
        // Runs of different lengths don't press each other together.
        Axis { scale: self.x_scale, apart: !matches!(self.x, Across::Axis(_)), ..Axis::linear(label) }
    }

    /// The values of `axis` that are shown.
    fn values(&self, axis: &str) -> Vec<String> {
        let found = self.matrix.axes.iter().find(|a| a.name == axis);
        let allowed = self.chosen.0.get(axis);
        let labels = found.into_iter().flat_map(|a| a.values.iter().map(|v| v.label.clone()));
        labels.filter(|label| allowed.is_none_or(|a| a.contains(label))).collect()
    }

    fn lines(&self, rows: &[Row], measure: &Measure, chosen: &Where) -> Vec<Series> {
        let mut lines = vec![(Vec::<String>::new(), chosen.clone(), 0, 0)];
        for (k, axis) in self.series.iter().enumerate() {
            let values = self.values(axis);
            let split = |(names, chosen, colour, dash): &(Vec<String>, Where, usize, usize)| {
                let with = values.iter().enumerate().map(|(index, label)| {
                    let names = names.iter().chain([label]).cloned().collect::<Vec<_>>();
                    // A single axis has dashes as well, so that lines over each other are both seen.
                    let alone = self.series.len() == 1;
                    let (colour, dash) = match k {
                        0 => (index, if alone { index } else { 0 }),
                        _ => (*colour, dash * values.len() + index),
                    };
                    (names, chosen.with(axis, label), colour, dash)
                });
                with.collect::<Vec<_>>()
            };
            lines = lines.iter().flat_map(split).collect();
        }
        let line = |(names, chosen, colour, dash): (Vec<String>, Where, usize, usize)| {
            let (points, stops) = self.points(rows, measure, &chosen);
            Series { stops, ..Series::new(names.join(", "), colour, dash, points) }
        };
        let shown = |line: &Series| !line.points.is_empty() || line.stops.is_some();
        lines.into_iter().map(line).filter(shown).collect()
    }

    /// The points of a line, and where it stops, if that is before its first point.
    fn points(&self, rows: &[Row], measure: &Measure, chosen: &Where) -> (Vec<Point>, Option<Stop>) {
        let matrix = &self.matrix.name;
        let Across::Axis(axis) = &self.x else {
            let (points, stop) = self.course(&Kind::of(rows, matrix, chosen), measure);
            // Without times there is no place for a cross on an axis of time.
            let placed = self.x != Across::Seconds || rows.iter().any(|row| row.seconds.is_some());
            return (points, stop.filter(|_| placed));
        };
        let at = |(index, label): (usize, &String)| {
            let kind = Kind::of(rows, matrix, &chosen.with(axis, label));
            // Names that aren't numbers are in their order.
            let x = label.parse().unwrap_or(index as f64 + 1.0);
            let ended = if kind.diverged().is_empty() { Mean::of(&kind.at(&measure.of, None)) } else { None };
            (kind.count() > 0).then(|| point(x, ended))
        };
        let points: Vec<Point> = self.values(axis).iter().enumerate().filter_map(at).collect();
        let first = points.first().filter(|_| points.iter().all(|p| p.y.is_nan())).map(|p| p.x);
        (points, first.map(|x| Stop { x, up: measure.up() }))
    }

    /// Means over the runs of `kind` in the course of training, up to where the first of them diverges.
    fn course(&self, kind: &Kind<'_>, measure: &Measure) -> (Vec<Point>, Option<Stop>) {
        let end = kind.diverged().into_iter().min();
        let mut at = BTreeMap::<u64, (Vec<f64>, Vec<f64>)>::new();
        for run in kind.runs() {
            // A mean isn't over rows that other seeds have no longer: the last one is of fewer rows then.
            let before = |r: &&&Row| r.moment == measure.moment && end.is_none_or(|end| r.step < end);
            let rows: Vec<&&Row> = run.iter().filter(before).collect();
            for group in rows.chunks(measure.mean_of) {
                let values: Vec<f64> =
                    group.iter().filter_map(|r| r.figures.get(&measure.of).copied()).collect();
                let (Some(mean), Some(last)) = (Mean::of(&values), group.last()) else { continue };
                let (key, x) = match self.x {
                    Across::Epoch => (last.epoch, last.epoch as f64),
                    Across::Seconds => (last.step, last.seconds.unwrap_or(f64::NAN)),
                    _ => (last.step, last.step as f64),
                };
                let (xs, ys) = at.entry(key).or_default();
                xs.push(x);
                ys.push(mean.mean);
            }
        }
        // Where a seed has no value, the mean would be of other runs than at the points before.
        let full = |(xs, _): &(Vec<f64>, Vec<f64>)| xs.len() == kind.count();
        let mean = |(xs, ys): (Vec<f64>, Vec<f64>)| Some(point(Mean::of(&xs)?.mean, Mean::of(&ys)));
        let mut points: Vec<Point> = at.into_values().filter(full).filter_map(mean).collect();
        let Some(end) = end else { return (points, None) };
        match points.last().map(|p| p.x) {
            Some(last) => {
                points.push(point(if self.x == Across::Step { end as f64 } else { last }, None));
                (points, None)
            }
            None => {
                let x = if self.x == Across::Step { end as f64 } else { 0.0 };
                (points, Some(Stop { x, up: measure.up() }))
            }
        }
    }
}

/// A point with its spread, where there is one; what diverges has none.
fn point(x: f64, y: Option<Mean>) -> Point {
    match y {
        Some(Mean { mean, low, high, count }) => {
            Point { x, y: mean, spread: (count > 1).then_some((low, high)) }
        }
        None => Point::new(x, f64::NAN),
    }
}

impl Measure {
    /// Whether what diverges goes up.
    fn up(&self) -> bool {
        !self.of.ends_with("accuracy")
    }

    fn read(item: &Item<'_>, x: &Across) -> Result<Measure> {
        let table = item.table()?;
        let figure = table.need("of")?;
        let of = figure.text()?;
        if !of.starts_with("train_") && !of.starts_with("test_") {
            return Err(figure.error("a figure is called `train_…` or `test_…`, such as `test_accuracy`"));
        }
        let range = table.get("range").map(|item| match item.list()?.as_slice() {
            [low, high] => Ok((low.number()?, high.number()?)),
            _ => Err(item.error("a range has two numbers")),
        });
        let moment = match table.get("points") {
            None => Moment::Epoch,
            Some(item) => match (item.text()?, x) {
                ("epoch", _) => Moment::Epoch,
                ("step", Across::Step) => Moment::Step,
                ("step", _) => return Err(item.error("points of steps are for `x = \"step\"`")),
                (other, _) => return Err(item.unknown(other, ["epoch", "step"].into_iter())),
            },
        };
        let measure = Measure {
            of: of.to_owned(),
            label: table.get("label").map_or_else(|| Ok(of), |item| item.text())?.to_owned(),
            scale: scale(&table, "scale", Scale::Linear)?,
            range: range.transpose()?,
            moment,
            mean_of: table.get("mean_of").map_or(Ok(1), |item| item.whole(1))? as usize,
        };
        table.finish()?;
        Ok(measure)
    }
}
