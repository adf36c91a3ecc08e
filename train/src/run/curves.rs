//! The figures of a run as a drawing.

use std::fmt::Display;

use plotters::backend::SVGBackend;
use plotters::chart::ChartBuilder;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{PathElement, Text};
use plotters::series::LineSeries;
use plotters::style::{IntoFont, RGBColor, ShapeStyle, WHITE};
use serde_json::{Map, Value};

use crate::step::{LOSS, TAKEN};

const SIZE: (u32, u32) = (1000, 440);
const TRAIN: RGBColor = RGBColor(31, 98, 163);
const TEST: RGBColor = RGBColor(207, 84, 31);
const STEPS: RGBColor = RGBColor(176, 200, 222);
/// The most points that are kept of a line: more can't be told apart.
const POINTS: usize = 1000;
/// The height of the row of the legend, and the width of an entry.
const LEGEND: (u32, i32) = (26, 84);
/// What the lines are called, and how they are drawn.
const LINES: [(&str, RGBColor, u32); 3] = [("step", STEPS, 1), ("train", TRAIN, 2), ("test", TEST, 2)];

type Point = (f64, f64);
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The lines of a panel, in the order of [`LINES`].
type Lines = [Thinned; 3];

/// What is drawn of the figures of a run: as many points however many lines there were.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Curves {
    loss: Lines,
    /// The first metric by name, if the model has any.
    metric: Option<(String, Lines)>,
}

impl Curves {
    /// Adds a line of the metrics file.
    pub fn add(&mut self, record: &Value) {
        let splits = ["train", "test"].map(|split| record.get(split).and_then(Value::as_object));
        let figures = splits[0].or(record.as_object());
        if self.metric.is_none() {
            let name = figures.and_then(|of| of.keys().filter(|key| !TAKEN.contains(&key.as_str())).min());
            self.metric = name.map(|name| (name.clone(), Lines::default()));
        }
        let Some(step) = record["step"].as_f64() else { return };
        let loss = std::iter::once((LOSS, &mut self.loss));
        for (name, [steps, train, test]) in loss.chain(self.metric.iter_mut().map(|(name, of)| (&**name, of)))
        {
            let number = |of: &Map<String, Value>| of.get(name)?.as_f64();
            let add = |line: &mut Thinned, y: Option<f64>| y.into_iter().for_each(|y| line.add((step, y)));
            match splits {
                [None, None] => add(steps, record.as_object().and_then(number)),
                of => [train, test].into_iter().zip(of).for_each(|(line, of)| add(line, of.and_then(number))),
            }
        }
    }

    /// An SVG of the loss and of the first metric over the steps.
    pub fn draw(&self, title: &str) -> Result<String, impl Display + use<>> {
        let mut out = String::new();
        self.panels(title, &mut out).map(|()| out)
    }

    fn panels(&self, title: &str, out: &mut String) -> Result<(), String> {
        let fail = |e: &dyn Display| e.to_string();
        let root = SVGBackend::with_string(out, SIZE).into_drawing_area();
        root.fill(&WHITE).map_err(|e| fail(&e))?;
        let root = root.titled(title, ("sans-serif", 20)).map_err(|e| fail(&e))?;
        // Above the panels, where it covers no line.
        let (head, root) = root.split_vertically(LEGEND.0);
        legend(&head).map_err(|e| fail(&e))?;
        let metric = self.metric.iter().map(|(name, lines)| (&**name, lines));
        let all: Vec<(&str, &Lines)> = std::iter::once((LOSS, &self.loss)).chain(metric).collect();
        for (area, (name, lines)) in root.split_evenly((1, all.len())).iter().zip(all) {
            panel(area, name, lines.each_ref().map(Thinned::points)).map_err(|e| fail(&e))?;
        }
        root.present().map_err(|e| fail(&e))
    }
}

/// Points of a line, or means of as many neighbouring ones each that at most [`POINTS`] are left. They depend on the
/// points alone, not on when they came.
#[derive(Clone, PartialEq, Debug)]
struct Thinned {
    /// How many points a group has, but for the last.
    size: u64,
    /// The sums of groups and how many points they have.
    groups: Vec<(Point, u64)>,
}

impl Default for Thinned {
    fn default() -> Thinned {
        Thinned { size: 1, groups: Vec::new() }
    }
}

impl Thinned {
    fn add(&mut self, (x, y): Point) {
        if let Some(((sum_x, sum_y), n)) = self.groups.last_mut().filter(|(_, n)| *n < self.size) {
            *sum_x += x;
            *sum_y += y;
            *n += 1;
            return;
        }
        if self.groups.len() == POINTS {
            let joined = |pair: &[(Point, u64)]| {
                pair.iter().fold(((0.0, 0.0), 0), |((a, b), n), ((x, y), m)| ((a + x, b + y), n + m))
            };
            self.groups = self.groups.chunks(2).map(joined).collect();
            self.size *= 2;
        }
        self.groups.push(((x, y), 1));
    }

    fn points(&self) -> Vec<Point> {
        self.groups.iter().map(|((x, y), n)| (x / *n as f64, y / *n as f64)).collect()
    }
}

/// The names of the lines, beside each other.
fn legend(area: &Area<'_>) -> Result<(), impl Display + use<>> {
    let entry = |(k, (name, colour, width)): (i32, (&str, RGBColor, u32))| {
        let (x, y) = (24 + k * LEGEND.1, LEGEND.0 as i32 / 2);
        let style = ShapeStyle::from(&colour).stroke_width(width);
        area.draw(&PathElement::new([(x, y), (x + 20, y)], style))?;
        area.draw(&Text::new(name, (x + 26, y - 6), ("sans-serif", 13).into_font()))
    };
    (0..).zip(LINES).try_for_each(entry).map_err(|e| e.to_string())
}

fn panel(area: &Area<'_>, name: &str, lines: [Vec<Point>; 3]) -> Result<(), String> {
    let all = || lines.iter().flatten();
    let right = all().map(|p| p.0).fold(1.0, f64::max);
    let low = all().map(|p| p.1).fold(f64::INFINITY, f64::min).min(0.0);
    let high = all().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
    let high = if high > low { high + (high - low) * 0.05 } else { low + 1.0 };
    let fail = |e: &dyn Display| e.to_string();
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .margin_right(28)
        .caption(name, ("sans-serif", 16))
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..right, low..high)
        .map_err(|e| fail(&e))?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("step")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .label_style(("sans-serif", 13).into_font())
        .draw()
        .map_err(|e| fail(&e))?;
    for ((name, colour, width), points) in LINES.into_iter().zip(lines) {
        let style = ShapeStyle::from(&colour).stroke_width(width);
        let series = LineSeries::new(points, style).point_size(if name == "step" { 0 } else { 2 });
        chart.draw_series(series).map_err(|e| fail(&e))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_has_a_bounded_number_of_points() {
        let mut line = Thinned::default();
        for k in 0..3000 {
            line.add((k as f64, 1.0));
            assert!(line.groups.len() <= POINTS && line.groups.capacity() <= 2 * POINTS);
            assert_eq!(line.groups.iter().map(|(_, n)| n).sum::<u64>(), k + 1);
        }
        assert_eq!((line.size, line.groups.len()), (4, 750));
        assert_eq!(line.points()[..2], [(1.5, 1.0), (5.5, 1.0)]);
        let mut short = Thinned::default();
        (0..1000).for_each(|k| short.add((k as f64, 0.5)));
        assert_eq!(short.points().len(), POINTS, "nothing is joined that can be told apart");
    }

    #[test]
    fn lines_of_the_file_become_points() {
        let mut curves = Curves::default();
        let lines = [
            json!({"step": 2, "epoch": 1, "loss": 3.0, "lr": 0.1, "norm": 7.0, "accuracy": 0.25}),
            json!({"step": 4, "epoch": 1, "loss": null, "lr": 0.1, "norm": 7.0, "accuracy": 0.5, "diverged": true}),
            json!({"step": 4, "epoch": 1, "train": {"loss": 2.0, "accuracy": 0.4}, "test": {"loss": 1.0}, "seconds": 1}),
        ];
        lines.iter().for_each(|line| curves.add(line));
        let points = |lines: &Lines| lines.each_ref().map(Thinned::points);
        assert_eq!(points(&curves.loss), [vec![(2.0, 3.0)], vec![(4.0, 2.0)], vec![(4.0, 1.0)]]);
        let (name, lines) = curves.metric.as_ref().unwrap();
        assert_eq!(name, "accuracy");
        assert_eq!(points(lines), [vec![(2.0, 0.25), (4.0, 0.5)], vec![(4.0, 0.4)], vec![]]);
        let drawing = curves.draw("a run").map_err(|e| e.to_string()).unwrap();
        assert!(drawing.contains("accuracy") && drawing.contains("polyline"), "{drawing}");
    }
}
