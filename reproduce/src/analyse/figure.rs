//! Figures of training, from rows of results.

use std::collections::{BTreeMap, BTreeSet};

use fgc_plot::{Axis, Figure, Panel, Point, Series, Stop};

use super::select::{Mean, Runs};
use crate::run::results::{Moment, Row};
use crate::spec::{Across, Metric, Plot, Points, Where};

impl Plot {
    /// The figure of `rows`.
    pub fn figure(&self, rows: &[Row]) -> Figure {
        let panels = match &self.panels {
            Some(axis) => {
                self.labels(axis).into_iter().map(|v| (v.clone(), self.chosen.with(axis, &v))).collect()
            }
            None => vec![(String::new(), self.chosen.clone())],
        };
        let panel = |metric: &Metric, (title, chosen): &(String, Where)| Panel {
            title: title.clone(),
            x: self.x_axis(),
            y: Axis { range: metric.range(), scale: metric.scale(), ..Axis::linear(metric.label()) },
            series: self.lines(rows, metric, chosen),
        };
        let panels = self.y.iter().flat_map(|metric| panels.iter().map(move |of| panel(metric, of)));
        let mut figure = Figure {
            name: self.name.clone(),
            title: self.title.clone(),
            caption: String::new(),
            columns: self.columns,
            panels: panels.collect(),
        };
        figure.caption = [self.caption.as_str(), &self.points_are(rows, &figure)].join(" ").trim().to_owned();
        figure
    }

    /// The meaning of the points, bands and crosses of `figure`, in a sentence.
    fn points_are(&self, rows: &[Row], figure: &Figure) -> String {
        let course = !matches!(self.x, Across::Axis(_));
        let mut kinds: Vec<String> = Vec::new();
        for metric in &self.y {
            let of = match (course, metric.moment()) {
                (false, _) => "the last epoch".to_owned(),
                (true, Moment::Step) if metric.mean_of() > 1 => {
                    format!("means of {} logged steps", metric.mean_of())
                }
                (true, Moment::Step) => "logged steps".to_owned(),
                (true, _) => "ends of epochs".to_owned(),
            };
            let kind = format!("{of} ({})", metric.label());
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        let mut text = format!("Points are {}", kinds.join(", "));
        let seeds: BTreeSet<u64> =
            rows.iter().filter(|row| row.matrix == self.matrix.name).map(|row| row.seed).collect();
        if seeds.len() > 1 {
            text += &format!(
                "; lines are means over {} seeds, bands go from the lowest to the highest",
                seeds.len()
            );
        }
        let mut series = figure.panels.iter().flat_map(|panel| &panel.series);
        if series.any(|s| s.stops.is_some() || s.points.last().is_some_and(|p| p.y.is_nan())) {
            text += match course {
                true => {
                    ". A cross is where the loss of the first seed isn't finite any more, at the frame's edge if that is \
                     before the first point"
                }
                false => ". A cross is at the last rate before the first at which a seed diverges",
            };
        }
        text + "."
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

    fn lines(&self, rows: &[Row], metric: &Metric, chosen: &Where) -> Vec<Series> {
        let mut lines = vec![(Vec::<String>::new(), chosen.clone(), 0, 0)];
        for (k, axis) in self.series.iter().enumerate() {
            let values = self.labels(axis);
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
            let (points, stops) = self.points(rows, metric, &chosen);
            Series { stops, ..Series::new(names.join(", "), colour, dash, points) }
        };
        let shown = |line: &Series| !line.points.is_empty() || line.stops.is_some();
        lines.into_iter().map(line).filter(shown).collect()
    }

    /// The points of a line, and where it stops, if that is before its first point.
    fn points(&self, rows: &[Row], metric: &Metric, chosen: &Where) -> (Vec<Point>, Option<Stop>) {
        let matrix = &self.matrix.name;
        let Across::Axis(axis) = &self.x else {
            let (points, stop) = self.course(&Runs::of(rows, matrix, chosen), metric);
            // Without times there is no place for a cross on an axis of time.
            let placed = self.x != Across::Seconds || rows.iter().any(|row| row.seconds.is_some());
            return (points, stop.filter(|_| placed));
        };
        let at = |(index, label): (usize, &String)| {
            let kind = Runs::of(rows, matrix, &chosen.with(axis, label));
            // Names that aren't numbers are in their order.
            let x = label.parse().unwrap_or(index as f64 + 1.0);
            let ended =
                if kind.diverged().is_empty() { Mean::of(&kind.at(metric.of.get_ref(), None)) } else { None };
            (kind.count() > 0).then(|| point(x, ended))
        };
        let points: Vec<Point> = self.labels(axis).iter().enumerate().filter_map(at).collect();
        let first = points.first().filter(|_| points.iter().all(|p| p.y.is_nan())).map(|p| p.x);
        (points, first.map(|x| Stop { x, up: metric.up() }))
    }

    /// Means over the runs of `kind` in the course of training, up to where the first of them diverges.
    fn course(&self, kind: &Runs<'_>, metric: &Metric) -> (Vec<Point>, Option<Stop>) {
        let (end, moment) = (kind.diverged().into_iter().min(), metric.moment());
        let mut at = BTreeMap::<u64, (Vec<f64>, Vec<f64>)>::new();
        for run in kind.each() {
            // A mean isn't over rows that other seeds have no longer: the last one is of fewer rows then.
            let before = |r: &&&Row| r.moment == moment && end.is_none_or(|end| r.step < end);
            let rows: Vec<&&Row> = run.iter().filter(before).collect();
            for group in rows.chunks(metric.mean_of()) {
                let values: Vec<f64> =
                    group.iter().filter_map(|r| r.metrics.get(metric.of.get_ref()).copied()).collect();
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
                (points, Some(Stop { x, up: metric.up() }))
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

impl Metric {
    /// Whether the metric of what diverges goes up.
    fn up(&self) -> bool {
        !self.of.get_ref().ends_with("accuracy")
    }

    /// The moments of training that are points.
    fn moment(&self) -> Moment {
        match self.points() {
            Points::Step => Moment::Step,
            Points::Epoch => Moment::Epoch,
        }
    }
}
