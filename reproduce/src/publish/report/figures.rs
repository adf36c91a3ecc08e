//! Figures in the report: drawn, with their values as data for the page's script and as a table for readers.

use std::fmt::Write as _;

use fgc_plot::palette::{dash_class, series_class};
use fgc_plot::panel::{self, Layout};
use fgc_plot::scale::Span;
use fgc_plot::text::escaped;
use fgc_plot::{Figure, Panel, Point, Role, Scale, Series, legend, legend_line, number, same_entry};
use serde_json::{Value, json};

use super::text::prose;
use crate::analyse::Report;

/// How many points all lines of a report may have together, as far as each keeps [`MIN_POINTS`]: this limits the
/// size of the file, at about 60 bytes a point.
const MAX_POINTS: usize = 30_000;
/// How many points each line may have in any case.
const MIN_POINTS: usize = 60;
/// The width of a panel in units of its drawing; on the page it is as wide as there's room.
const WIDTH: f64 = 400.0;
/// The height of its frame.
const HEIGHT: f64 = 220.0;

/// Puts figures into a page.
pub struct Figures {
    /// How many there are so far.
    count: usize,
    /// How many points of each line are kept at most.
    most: usize,
}

impl Figures {
    /// For the figures of `report`.
    pub fn new(report: &Report) -> Figures {
        let figures = report.sections.iter().flat_map(|s| &s.figures);
        let series: Vec<&Series> = figures.flat_map(|f| &f.panels).flat_map(|p| &p.series).collect();
        let points = |most: usize| series.iter().map(|s| s.points.len().min(most)).sum::<usize>();
        let fits =
            (MIN_POINTS..=panel::MAX_POINTS).rev().step_by(20).find(|most| points(*most) <= MAX_POINTS);
        Figures { count: 0, most: fits.unwrap_or(MIN_POINTS) }
    }

    /// Adds `figure` to the page `out`.
    pub fn push(&mut self, figure: &Figure, out: &mut String) {
        self.count += 1;
        let id = format!("figure-{}", self.count);
        let layout = Layout::new(figure, WIDTH, HEIGHT, self.most);
        let columns = figure.columns.clamp(1, 4).min(figure.panels.len().max(1));
        let _ = writeln!(
            out,
            "<figure id=\"{id}\" style=\"--columns:{columns}\"><h3>{}</h3>\n{}<div class=\"panels\">",
            escaped(&figure.title),
            entries(figure)
        );
        for (k, panel) in figure.panels.iter().enumerate() {
            let drawn = panel::draw(figure, k, &layout, &format!("{id}-{k}"));
            let (width, height, label) = (layout.width, layout.height, escaped(&label(panel)));
            let _ = writeln!(
                out,
                "<div class=\"panel\"><svg viewBox=\"0 0 {width} {height}\" role=\"img\" \
                 aria-label=\"{label}\" aria-describedby=\"{id}-values\">{drawn}</svg></div>"
            );
        }
        let _ = writeln!(
            out,
            "</div>\n<figcaption>{}</figcaption>\n\
             <details class=\"values\"><summary>Values</summary>{}</details>\n\
             <script type=\"application/json\">{}</script></figure>",
            prose(&figure.caption),
            values(figure, &id),
            data(figure, &layout)
        );
    }
}

/// A panel in words, for those who don't see it.
fn label(panel: &Panel) -> String {
    let name = if panel.title.is_empty() { String::new() } else { format!("{}: ", panel.title) };
    format!("{name}{} against {}", panel.y.label, panel.x.label)
}

/// The legend, whose entries the script makes buttons of.
fn entries(figure: &Figure) -> String {
    let mut out = String::from("<ul class=\"legend\">");
    for (k, series) in legend(figure).into_iter().enumerate() {
        let (drawn, name) = (legend_line(series, 0.0, 7.0), escaped(&series.name));
        let _ = write!(
            out,
            "<li><button type=\"button\" data-l=\"{k}\" aria-pressed=\"true\" disabled>\
             <svg width=\"30\" height=\"14\" aria-hidden=\"true\">{drawn}</svg>{name}</button></li>"
        );
    }
    out + "</ul>\n"
}

/// The values of a figure in short: where each line begins and ends, and between what it is.
fn values(figure: &Figure, id: &str) -> String {
    let mut out = format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Values\"><table class=\"results\" \
         id=\"{id}-values\"><thead><tr><th scope=\"col\">line</th>"
    );
    for name in ["first", "last", "lowest", "highest"] {
        let _ = write!(out, "<th scope=\"col\">{name}</th>");
    }
    out += "</tr></thead>\n";
    for panel in &figure.panels {
        let _ = writeln!(
            out,
            "<tbody><tr class=\"group\"><th scope=\"rowgroup\" colspan=\"5\">{}</th></tr>",
            escaped(&label(panel))
        );
        for series in &panel.series {
            let _ =
                writeln!(out, "<tr><th scope=\"row\">{}</th>{}</tr>", escaped(&series.name), cells(series));
        }
        out += "</tbody>\n";
    }
    out + "</table></div>"
}

/// The cells of a line in the table of values.
fn cells(series: &Series) -> String {
    let at = |p: &Point| {
        let spread = p.spread.map(|(low, high)| format!(" ({}–{})", number::short(low), number::short(high)));
        format!("{}{} at {}", number::short(p.y), spread.unwrap_or_default(), number::short(p.x))
    };
    let finite = || series.points.iter().filter(|p| p.y.is_finite());
    let shown = [
        series.points.first(),
        series.points.last(),
        finite().min_by(|a, b| a.y.total_cmp(&b.y)),
        finite().max_by(|a, b| a.y.total_cmp(&b.y)),
    ];
    shown.map(|p| format!("<td>{}</td>", p.map(at).unwrap_or_default())).concat()
}

/// The figure as the script reads it: frames, axes, and the points that are drawn.
fn data(figure: &Figure, layout: &Layout) -> String {
    let entries = legend(figure);
    let (left, top, width, height) = layout.frame();
    let axis = |span: &Span, label: &str| {
        let log = span.scale == Scale::Log;
        json!({ "log": log, "low": rounded(span.low), "high": rounded(span.high), "label": label })
    };
    let panel = |(panel, spans): (&Panel, &(Span, Span))| {
        let ticks = layout.x_ticks(panel, &spans.0);
        let ticks = ticks.iter().filter(|t| t.text.is_some()).map(|t| rounded(t.value));
        let series = panel.series.iter().map(|series| {
            let entry = entries.iter().position(|entry| same_entry(entry, series));
            line(series, &layout.kept(series, spans), entry.expect("the legend has every line"))
        });
        json!({
            "x": axis(&spans.0, &panel.x.label),
            "y": axis(&spans.1, &panel.y.label),
            "ticks": ticks.collect::<Vec<_>>(),
            "series": series.collect::<Vec<_>>(),
        })
    };
    let panels: Vec<Value> = figure.panels.iter().zip(&layout.spans).map(panel).collect();
    let frame = [left, top, width, height].map(rounded);
    let data = json!({ "frame": frame, "panels": panels });
    // Nothing in it ends the element that it stands in.
    data.to_string().replace('<', "\\u003c")
}

/// A line for the script; ends of the band are in it if any point has them.
fn line(series: &Series, kept: &[usize], entry: usize) -> Value {
    let points: Vec<&Point> = kept.iter().map(|k| &series.points[*k]).collect();
    let list = |value: &dyn Fn(&Point) -> f64| points.iter().map(|p| rounded(value(p))).collect::<Value>();
    let class = format!("{} {}", series_class(series), dash_class(series));
    let mut line = json!({
        "name": series.name, "class": class, "entry": entry, "x": list(&|p| p.x), "y": list(&|p| p.y)
    });
    if series.role == Role::Points {
        line["apart"] = json!(true);
    }
    if points.iter().any(|p| p.spread.is_some()) {
        line["low"] = list(&|p| p.spread.map_or(f64::NAN, |s| s.0));
        line["high"] = list(&|p| p.spread.map_or(f64::NAN, |s| s.1));
    }
    line
}

/// A number in JSON, to six digits; `null` of what isn't finite.
fn rounded(value: f64) -> Value {
    let rounded: f64 = format!("{value:.5e}").parse().expect("a number is read as it is written");
    match rounded.fract() == 0.0 && rounded.abs() < 1e15 {
        true => json!(rounded as i64),
        false => json!(rounded),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_json() {
        let cases = [
            (0.1 + 0.2, "0.3"),
            (9390.0, "9390"),
            (1e-30, "1e-30"),
            (1234567.0, "1234570"),
            (f64::NAN, "null"),
            (f64::MAX, "1.79769e+308"),
        ];
        for (value, text) in cases {
            assert_eq!(rounded(value).to_string(), text);
        }
    }
}
