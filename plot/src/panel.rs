//! One panel as SVG: axes, ticks, bands, lines and markers.
//!
//! What it gives has classes rather than colours, so that the style sheet of a file or of the report decides
//! on those.

use std::fmt::Write as _;

use crate::scale::{Span, Tick};
use crate::text::{self, escaped};
use crate::{Figure, Panel, Point, Role, Series, Stop};
use crate::{n, palette, thin};

/// The size of the text at ticks.
pub const TICK_SIZE: f64 = 11.0;
/// The size of the labels of axes.
pub const LABEL_SIZE: f64 = 11.5;
/// The size of the titles of panels.
pub const NAME_SIZE: f64 = 13.0;
/// How large markers are, from the middle to the edge.
pub const MARKER: f64 = 3.6;
/// How many points of a line are worth drawing: more than there are pixels in a panel show nothing.
pub const MAX_POINTS: usize = 400;
/// Lines of so many points have a marker at each.
const FEW_POINTS: usize = 12;
/// Longer ones have so many.
const MARKERS: usize = 5;
/// The cross at the end of a line that diverges.
const CROSS: &str = "M-5.5 -5.5l11 11m0 -11l-11 11";
/// How far from the edge of the frame a cross is that stands for a line.
const EDGE: f64 = 7.0;
/// So many values are few enough to have a tick each.
const FEW_VALUES: usize = 8;
/// The height under a panel's frame: that of the ticks' text and the label.
const UNDER: f64 = 38.0;
/// The width right of a panel's frame: half of that of the last tick's text.
const RIGHT: f64 = 16.0;
/// By how much lines may leave the frame, so that markers at its edge are whole.
const BLEED: f64 = 4.0;

/// Where the panels of a figure have their frames, and what part of each axis is in them.
#[derive(Clone, PartialEq, Debug)]
pub struct Layout {
    /// The width of a panel.
    pub width: f64,
    /// The height of a panel.
    pub height: f64,
    /// From its left edge to the frame.
    pub left: f64,
    /// From its upper edge to the frame.
    pub top: f64,
    /// The spans of the axes of each panel, the horizontal one first.
    pub spans: Vec<(Span, Span)>,
    /// How many points of a line are drawn at most.
    pub most: usize,
}

impl Layout {
    /// The layout of all panels of `figure`, each `width` wide with a frame of `inner` in height, and lines
    /// of at most `most` points.
    pub fn new(figure: &Figure, width: f64, inner: f64, most: usize) -> Layout {
        let spans = spans(figure);
        let named = figure.panels.iter().any(|p| !p.title.is_empty());
        let labelled = figure.panels.iter().any(|p| !p.y.label.is_empty());
        let top = 8.0 + if named { 17.0 } else { 0.0 } + if labelled { 16.0 } else { 0.0 };
        let mut layout = Layout { width, height: top + inner + UNDER, left: 0.0, top, spans, most };
        let widest = layout.spans.iter().flat_map(|(_, y)| layout.y_ticks(y)).filter_map(|t| t.text);
        let widest = widest.map(|t| text::width(&t, TICK_SIZE, text::REGULAR)).fold(24.0, f64::max);
        layout.left = (widest + 10.0).min(width / 3.0);
        layout
    }

    /// The frame: left, top, width, height.
    pub fn frame(&self) -> (f64, f64, f64, f64) {
        (self.left, self.top, self.width - self.left - RIGHT, self.height - self.top - UNDER)
    }

    /// About how many ticks there's room for, horizontally and vertically.
    pub fn wanted(&self) -> (usize, usize) {
        let (_, _, width, height) = self.frame();
        ((width / 45.0) as usize, (height / 40.0) as usize)
    }

    fn y_ticks(&self, span: &Span) -> Vec<Tick> {
        span.ticks(self.wanted().1)
    }

    /// Where a point is, if it is anywhere on the scales.
    fn place(&self, spans: &(Span, Span), x: f64, y: f64) -> Option<(f64, f64)> {
        let (left, top, width, height) = self.frame();
        Some((left + spans.0.place(x)? * width, top + (1.0 - spans.1.place(y)?) * height))
    }

    /// Which points of `series`, in a panel of these spans, are drawn.
    pub fn kept(&self, series: &Series, spans: &(Span, Span)) -> Vec<usize> {
        let placed: Vec<_> = series.points.iter().map(|p| self.place(spans, p.x, p.y)).collect();
        thin::kept(&placed, self.most)
    }

    /// The horizontal ticks of a panel, none over another: at what was measured, if that is at few values.
    pub fn x_ticks(&self, panel: &Panel, span: &Span) -> Vec<Tick> {
        let (_, _, width, _) = self.frame();
        let clear = |ticks: &[Tick]| {
            let ends = ticks.iter().filter_map(|t| {
                let half = text::width(t.text.as_deref()?, TICK_SIZE, text::REGULAR) / 2.0;
                Some((span.place(t.value)? * width, half))
            });
            let ends: Vec<(f64, f64)> = ends.collect();
            ends.windows(2).all(|w| w[1].0 - w[1].1 - (w[0].0 + w[0].1) > 6.0)
        };
        let measured = panel.series.iter().flat_map(|s| &s.points).filter(|p| p.y.is_finite());
        let mut values: Vec<f64> = measured.map(|p| p.x).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        if (2..=FEW_VALUES).contains(&values.len()) {
            let ticks = span.ticks_at(&values);
            if clear(&ticks) {
                return ticks;
            }
        }
        let wanted = (2..=self.wanted().0.max(2)).rev().map(|wanted| span.ticks(wanted));
        wanted.into_iter().find(|ticks| clear(ticks)).unwrap_or_default()
    }
}

/// The spans of the axes of each panel. Axes of one label and scale that have no range of their own share
/// theirs.
fn spans(figure: &Figure) -> Vec<(Span, Span)> {
    let points = |panel: &Panel| panel.series.iter().flat_map(|s| s.points.clone()).collect::<Vec<Point>>();
    let span = |panel: &Panel, vertical: bool| {
        let axis = if vertical { &panel.y } else { &panel.x };
        let alike = figure.panels.iter().filter(|p| {
            let other = if vertical { &p.y } else { &p.x };
            std::ptr::eq(*p, panel) || (axis.range.is_none() && !axis.apart && other == axis)
        });
        let alike: Vec<&Panel> = alike.collect();
        let points: Vec<Point> = alike.iter().flat_map(|panel| points(panel)).collect();
        let value = |p: &Point| if vertical { p.y } else { p.x };
        let stops =
            alike.iter().flat_map(|panel| &panel.series).filter_map(|s| s.stops).filter(|_| !vertical);
        let values: Vec<f64> = points.iter().map(value).chain(stops.map(|stop| stop.x)).collect();
        let spreads = points.iter().filter_map(|p| p.spread.filter(|_| vertical));
        let spreads: Vec<f64> = spreads.flat_map(|(low, high)| [low, high]).collect();
        Span::of(axis, &values, &spreads, if vertical { 0.05 } else { 0.02 })
    };
    figure.panels.iter().map(|panel| (span(panel, false), span(panel, true))).collect()
}

/// The panel of index `k` as a group, its upper left corner at the origin. `id` is one that nothing else in
/// the document has.
pub fn draw(figure: &Figure, k: usize, layout: &Layout, id: &str) -> String {
    let (panel, spans) = (&figure.panels[k], &layout.spans[k]);
    let (left, top, width, height) = layout.frame();
    let (right, bottom) = (left + width, top + height);
    let mut out = String::new();
    if !panel.title.is_empty() {
        let _ = write!(out, r#"<text class="name" x="0" y="13">{}</text>"#, escaped(&panel.title));
    }
    let label = |x: f64, y: f64, anchor: &str, text: &str| {
        let (x, y, text) = (n(x), n(y), escaped(text));
        format!(r#"<text class="label" x="{x}" y="{y}" text-anchor="{anchor}">{text}</text>"#)
    };
    if !panel.y.label.is_empty() {
        out += &label(0.0, top - 8.0, "start", &panel.y.label);
    }
    out += &label(left + width / 2.0, bottom + 33.0, "middle", &panel.x.label);
    out += &axes(panel, layout, spans);
    let (a, b) = (n(left - BLEED), n(top - BLEED));
    let (w, h) = (n(width + 2.0 * BLEED), n(height + 2.0 * BLEED));
    let _ = write!(out, r#"<clipPath id="{id}"><rect x="{a}" y="{b}" width="{w}" height="{h}"/></clipPath>"#);
    let _ = write!(out, r#"<g class="data" clip-path="url(#{id})">"#);
    let mut drawn = 0;
    let (mut lines, mut ended) = (String::new(), String::new());
    for (s, series) in panel.series.iter().enumerate() {
        let line = Line::new(series, layout, spans);
        drawn += line.points.iter().flatten().count() + usize::from(line.stop.is_some());
        let colour = palette::series_class(series);
        let _ = write!(out, r#"<path class="band {colour}" data-s="{s}" d="{}"/>"#, line.band());
        // Crosses are above what other lines have there.
        let _ = write!(
            if line.end.is_some() || line.stop.is_some() { &mut ended } else { &mut lines },
            r#"<g class="series {colour}" data-s="{s}"><path class="line {}" d="{}"/>{}</g>"#,
            palette::dash_class(series),
            if series.role == Role::Points { String::new() } else { line.line() },
            line.marks(series, s, panel.series.len())
        );
    }
    out += &lines;
    out += &ended;
    out += "</g>";
    if drawn == 0 {
        out += &label(left + width / 2.0, top + height / 2.0, "middle", "no data");
    }
    let (l, t, r, b) = (n(left), n(top), n(right), n(bottom));
    let _ = write!(out, r#"<path class="frame" d="M{l} {t}V{b}H{r}"/>"#);
    out
}

/// The grid, and the ticks with their text.
fn axes(panel: &Panel, layout: &Layout, spans: &(Span, Span)) -> String {
    let (left, top, width, height) = layout.frame();
    let (right, bottom) = (left + width, top + height);
    let (mut grid, mut ticks, mut texts) = (String::new(), String::new(), String::new());
    for tick in layout.x_ticks(panel, &spans.0) {
        let x = n(left + spans.0.place(tick.value).expect("a tick is on its axis") * width);
        if let Some(text) = &tick.text {
            let _ = write!(grid, "M{x} {}V{}", n(top), n(bottom));
            let y = n(bottom + 16.0);
            let text = escaped(text);
            let _ = write!(texts, r#"<text class="tick" x="{x}" y="{y}" text-anchor="middle">{text}</text>"#);
        }
        let _ = write!(ticks, "M{x} {}v{}", n(bottom), if tick.text.is_some() { 5 } else { 3 });
    }
    for tick in layout.y_ticks(&spans.1) {
        let y = top + (1.0 - spans.1.place(tick.value).expect("a tick is on its axis")) * height;
        if let Some(text) = &tick.text {
            let _ = write!(grid, "M{} {}H{}", n(left), n(y), n(right));
            let (x, y, text) = (n(left - 8.0), n(y + 4.0), escaped(text));
            let _ = write!(texts, r#"<text class="tick" x="{x}" y="{y}" text-anchor="end">{text}</text>"#);
        }
        let _ = write!(ticks, "M{} {}h-{}", n(left), n(y), if tick.text.is_some() { 5 } else { 3 });
    }
    format!(r#"<g class="axes"><path class="grid" d="{grid}"/><path class="ticks" d="{ticks}"/>{texts}</g>"#)
}

/// A line in units of the picture.
struct Line {
    /// Its points; `None` breaks it.
    points: Vec<Option<(f64, f64)>>,
    /// The lower and upper ends of the band at each.
    band: Vec<Option<(f64, f64, f64)>>,
    /// The last point before the end, of a line that ends with what isn't finite.
    end: Option<usize>,
    /// Where a cross is at the edge of the frame.
    stop: Option<(f64, f64)>,
    /// Between what crosses are, vertically.
    inner: (f64, f64),
}

impl Line {
    fn new(series: &Series, layout: &Layout, spans: &(Span, Span)) -> Line {
        let kept = layout.kept(series, spans);
        let place = |k: &usize| layout.place(spans, series.points[*k].x, series.points[*k].y);
        let points: Vec<_> = kept.iter().map(place).collect();
        let diverges = series.points.last().is_some_and(|p| !p.y.is_finite());
        let end = points.iter().rposition(Option::is_some).filter(|_| diverges);
        let floor = spans.1.low;
        let band = |p: &Point| {
            let (low, high) = p.spread?;
            // A band down to zero goes to the bottom of a logarithmic axis.
            let low = if spans.1.place(low).is_none() && low.is_finite() { floor } else { low };
            let ((x, low), (_, high)) = (layout.place(spans, p.x, low)?, layout.place(spans, p.x, high)?);
            Some((x, low, high))
        };
        let (_, top, _, height) = layout.frame();
        let edge = |stop: Stop| {
            let y = if stop.up { top + EDGE } else { top + height - EDGE };
            let (left, _, width, _) = layout.frame();
            let x = left + spans.0.place(stop.x)? * width;
            Some((x.clamp(left + EDGE, (left + width - EDGE).max(left + EDGE)), y))
        };
        let stop = series.stops.and_then(edge);
        let inner = (top + EDGE, (top + height - EDGE).max(top + EDGE));
        Line { points, band: kept.iter().map(|k| band(&series.points[*k])).collect(), end, stop, inner }
    }

    /// The line, as data of a path.
    fn line(&self) -> String {
        let runs = self.points.split(Option::is_none).filter(|run| run.len() > 1);
        runs.map(|run| joined(run.iter().flatten().copied())).collect()
    }

    /// The band around it.
    fn band(&self) -> String {
        let runs = self.band.split(Option::is_none).filter(|run| run.len() > 1);
        let outline = |run: &[Option<(f64, f64, f64)>]| {
            let above = run.iter().flatten().map(|(x, _, high)| (*x, *high));
            let below = run.iter().flatten().rev().map(|(x, low, _)| (*x, *low));
            joined(above.chain(below)) + "Z"
        };
        runs.map(outline).collect()
    }

    /// The markers of the line of index `s` of `of`: at each of a few points, else here and there, at other
    /// places than those of the other lines; and the cross at its end. Each tells of which point it is.
    fn marks(&self, series: &Series, s: usize, of: usize) -> String {
        if series.role == Role::Backdrop {
            return String::new();
        }
        let count = self.points.len();
        let shift = (s as f64 + 0.5) / of.max(1) as f64;
        let spaced = |k: usize| ((k as f64 + shift) / MARKERS as f64 * (count - 1) as f64).round() as usize;
        let chosen: Vec<usize> = match count {
            _ if series.role == Role::Points => (0..count).collect(),
            0..=FEW_POINTS => (0..count).collect(),
            _ => (0..MARKERS).map(spaced).collect(),
        };
        // A point without neighbours has no line to be seen by.
        let none = |k: Option<usize>| k.and_then(|k| self.points.get(k)).is_none_or(Option::is_none);
        let lone = (0..count).filter(|k| none(k.checked_sub(1)) && none(Some(k + 1)) && !chosen.contains(k));
        let lone: Vec<usize> = lone.collect();
        let shape = palette::marker(series.colour, 0.0, 0.0, MARKER);
        let mark = palette::mark_class(series);
        let marks = chosen.iter().chain(&lone).map(|k| (*k, mark, shape.as_str()));
        let ends = self.end.into_iter().flat_map(|k| [(k, "halo", CROSS), (k, "cross", CROSS)]);
        let mut out = String::new();
        if let Some((x, y)) = self.stop {
            let at = format!("translate({} {})", n(x), n(y));
            let _ = write!(out, r#"<path class="cross" transform="{at}" d="{CROSS}"/>"#);
        }
        for (k, class, shape) in marks.chain(ends) {
            if let Some((x, y)) = self.points.get(k).copied().flatten() {
                // A line that leaves the frame before it ends has its cross at the edge.
                let y = if class == mark { y } else { y.clamp(self.inner.0, self.inner.1) };
                let (x, y) = (n(x), n(y));
                let _ = write!(
                    out,
                    r#"<path class="{class}" data-k="{k}" transform="translate({x} {y})" d="{shape}"/>"#
                );
            }
        }
        out
    }
}

/// Points joined by lines, as data of a path.
fn joined(points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    for (k, (x, y)) in points.enumerate() {
        let _ = write!(path, "{}{} {}", if k == 0 { 'M' } else { ' ' }, n(x), n(y));
    }
    path
}
