//! The figures of a run as a drawing.

use std::fmt::Display;

use plotters::backend::SVGBackend;
use plotters::chart::ChartBuilder;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{PathElement, Text};
use plotters::series::LineSeries;
use plotters::style::{IntoFont, RGBColor, ShapeStyle, WHITE};
use serde_json::Value;

const SIZE: (u32, u32) = (1000, 440);
const TRAIN: RGBColor = RGBColor(31, 98, 163);
const TEST: RGBColor = RGBColor(207, 84, 31);
const STEPS: RGBColor = RGBColor(176, 200, 222);
/// The most points of a line: more can't be told apart.
const POINTS: usize = 1000;
/// The height of the row of the legend, and the width of an entry.
const LEGEND: (u32, i32) = (26, 84);
/// What the lines are called, and how they are drawn.
const LINES: [(&str, RGBColor, u32); 3] = [("step", STEPS, 1), ("train", TRAIN, 2), ("test", TEST, 2)];

type Point = (f64, f64);
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// An SVG of the loss and of the first metric over the epochs.
pub fn draw(title: &str, records: &[Value]) -> Result<String, impl Display + use<>> {
    let mut out = String::new();
    panels(title, records, &mut out).map(|()| out)
}

fn panels(title: &str, records: &[Value], out: &mut String) -> Result<(), String> {
    let fail = |e: &dyn Display| e.to_string();
    let root = SVGBackend::with_string(out, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(|e| fail(&e))?;
    let root = root.titled(title, ("sans-serif", 20)).map_err(|e| fail(&e))?;
    // Above the panels, where it covers no line.
    let (head, root) = root.split_vertically(LEGEND.0);
    legend(&head).map_err(|e| fail(&e))?;
    let ends = epochs(records);
    let names: Vec<String> = ends
        .iter()
        .find_map(|(_, end)| Some(end["train"].as_object()?.keys().cloned().collect()))
        .unwrap_or_default();
    let metric = names.iter().find(|name| *name != "loss");
    let names: Vec<&str> = std::iter::once("loss").chain(metric.map(String::as_str)).collect();
    for (area, name) in root.split_evenly((1, names.len())).iter().zip(names) {
        panel(area, name, records, &ends).map_err(|e| fail(&e))?;
    }
    root.present().map_err(|e| fail(&e))
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

/// The epochs that ended, each with the steps that were done.
fn epochs(records: &[Value]) -> Vec<(f64, &Value)> {
    let end = |r: &'_ Value| r.get("train").and(r["step"].as_f64());
    records.iter().filter_map(|r| Some((end(r)?, r))).collect()
}

fn panel(area: &Area<'_>, name: &str, records: &[Value], ends: &[(f64, &Value)]) -> Result<(), String> {
    let steps: Vec<Point> = records
        .iter()
        .filter(|r| r.get("train").is_none())
        .filter_map(|r| Some((r["step"].as_f64()?, r[name].as_f64()?)))
        .collect();
    let steps = thinned(steps);
    let curve = |split: &str| -> Vec<Point> {
        ends.iter().filter_map(|(step, end)| Some((*step, end[split][name].as_f64()?))).collect()
    };
    let lines = [steps, curve("train"), curve("test")];
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

/// `points`, or as many averages of neighbouring ones as can be told apart.
fn thinned(points: Vec<Point>) -> Vec<Point> {
    let group = points.len().div_ceil(POINTS).max(1);
    let mean = |group: &[Point]| {
        let n = group.len() as f64;
        (group.iter().map(|p| p.0).sum::<f64>() / n, group.iter().map(|p| p.1).sum::<f64>() / n)
    };
    points.chunks(group).map(mean).collect()
}
