//! Figures: small multiples of lines, with bands and markers, on linear and logarithmic axes.
//!
//! A [`Figure`] is data. [`svg`] and [`png`] render it with a font of its own, so that it looks the same everywhere;
//! [`panel`] renders the panels alone, for a page that has its own style sheet.

mod figure;
pub mod number;
pub mod palette;
pub mod panel;
#[doc(hidden)]
pub mod sample;
pub mod scale;
pub mod text;
mod thin;

use std::fmt::Write as _;
use std::sync::Arc;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{self, fontdb};

pub use figure::{Axis, Figure, Panel, Point, Role, Scale, Series, Stop};
use palette::{DASHES, LIGHT, Theme};
use panel::Layout;
use text::{BOLD, FAMILY, REGULAR, escaped};

pub(crate) use number::coordinate as n;

/// Pixels of a PNG for each unit of the SVG.
const PIXELS: f32 = 2.0;
/// The most pixels of a PNG.
const MAX_PIXELS: u64 = 1 << 27;
/// The margin around everything.
const MARGIN: f64 = 16.0;
/// Between panels.
const GAP: f64 = 20.0;
/// The size of the title.
const TITLE_SIZE: f64 = 16.0;
/// The size of the legend's text, and the height of its rows.
const LEGEND: (f64, f64) = (12.0, 20.0);
/// The length of the lines in the legend.
const SAMPLE: f64 = 30.0;
/// The size of the caption's text, and the height of its lines.
const CAPTION: (f64, f64) = (11.5, 16.0);

/// The lines that are in the legend of `figure`: the first of each entry.
pub fn legend(figure: &Figure) -> Vec<&Series> {
    let mut entries: Vec<&Series> = Vec::new();
    for series in figure.panels.iter().flat_map(|p| &p.series) {
        if !entries.iter().any(|entry| same_entry(entry, series)) {
            entries.push(series);
        }
    }
    entries
}

/// Whether two lines have one entry of the legend: they have the same name, colour and dash.
pub fn same_entry(a: &Series, b: &Series) -> bool {
    a.name == b.name && a.colour == b.colour && a.dash == b.dash
}

/// A line with its marker as the legend shows it, from the left at half the height.
pub fn legend_line(series: &Series, x: f64, y: f64) -> String {
    let (colour, dash) = (palette::series_class(series), palette::dash_class(series));
    let marker = palette::marker(series.colour, x + SAMPLE / 2.0, y, panel::MARKER);
    let line = format!(r#"<path class="line {dash}" d="M{} {}h{SAMPLE}"/>"#, n(x), n(y));
    let mark = palette::mark_class(series);
    match series.role {
        Role::Data => format!(r#"<g class="{colour}">{line}<path class="{mark}" d="{marker}"/></g>"#),
        Role::Points => {
            format!(r#"<g class="{colour}"><path class="{mark}" d="{marker}"/></g>"#)
        }
        Role::Backdrop => format!(r#"<g class="{colour}">{line}</g>"#),
    }
}

/// The style of the classes of a drawing, in the colours of `theme`.
fn style(theme: &Theme) -> String {
    let Theme { ground, ink, quiet, grid, series } = theme;
    let mut css = format!(
        "text{{font-family:\"{FAMILY}\",\"Helvetica Neue\",Arial,sans-serif;fill:{ink}}}\
         .title{{font-size:{TITLE_SIZE}px;font-weight:bold}}\
         .name{{font-size:{}px;font-weight:bold}}\
         .label,.caption{{font-size:{}px;fill:{quiet}}}\
         .legend{{font-size:{}px}}\
         .tick{{font-size:{}px;fill:{quiet}}}\
         .ground{{fill:{ground}}}\
         .grid{{stroke:{grid};fill:none}}\
         .frame,.ticks{{stroke:{quiet};fill:none}}\
         .line{{fill:none;stroke:currentColor;stroke-width:1.7;stroke-linejoin:round}}\
         .backdrop{{color:{quiet}}}.backdrop .line{{stroke-width:0.7;stroke-opacity:0.7}}\
         .band{{fill:currentColor;fill-opacity:0.17;stroke:none}}\
         .mark{{fill:currentColor;stroke:{ground};stroke-width:0.8}}\
         .hollow{{fill:{ground};stroke:currentColor;stroke-width:1.7}}\
         .cross{{fill:none;stroke:currentColor;stroke-width:2.4}}\
         .halo{{fill:none;stroke:{ground};stroke-width:5}}",
        panel::NAME_SIZE,
        panel::LABEL_SIZE,
        LEGEND.0,
        panel::TICK_SIZE
    );
    for (k, colour) in series.iter().enumerate() {
        let _ = write!(css, ".c{k}{{color:{colour}}}");
    }
    for (k, dash) in DASHES.iter().enumerate().skip(1) {
        let _ = write!(css, ".d{k}{{stroke-dasharray:{dash}}}");
    }
    css
}

/// A figure in words, for those who don't see it: its panels, and the first and last values of each series.
pub fn described(figure: &Figure) -> String {
    let mut text = figure.caption.trim().to_owned();
    for panel in &figure.panels {
        let name = if panel.title.is_empty() { "Panel" } else { &panel.title };
        let _ = write!(text, " {name}: {} against {}.", panel.y.label, panel.x.label);
        for series in &panel.series {
            if let (Some(first), Some(last)) = (series.points.first(), series.points.last()) {
                let (first, last) = (number::short(first.y), number::short(last.y));
                let _ = write!(text, " {}: from {first} to {last}.", series.name);
            }
        }
    }
    text.trim().to_owned()
}

/// `figure` as an SVG document.
pub fn svg(figure: &Figure) -> String {
    let columns = figure.columns.clamp(1, 6).min(figure.panels.len().max(1));
    let width = [600.0, 860.0, 1000.0, 1160.0].get(columns - 1).copied().unwrap_or(260.0 * columns as f64);
    let inner = width - 2.0 * MARGIN;
    let panel_width = ((inner + GAP) / columns as f64 - GAP).floor();
    let layout =
        Layout::new(figure, panel_width, (0.6 * panel_width).clamp(160.0, 320.0).floor(), panel::MAX_POINTS);
    let mut body = String::new();
    let mut y = MARGIN;
    for line in text::lines(&figure.title, TITLE_SIZE * 1.1, inner) {
        y += TITLE_SIZE;
        let _ = write!(body, r#"<text class="title" x="{MARGIN}" y="{}">{}</text>"#, n(y), escaped(&line));
        y += 6.0;
    }
    let mut x = MARGIN;
    let entries = legend(figure);
    if !entries.is_empty() {
        y += 14.0;
        for series in entries {
            let wide = SAMPLE + 6.0 + text::width(&series.name, LEGEND.0, REGULAR);
            if x > MARGIN && x + wide > MARGIN + inner {
                x = MARGIN;
                y += LEGEND.1;
            }
            body += &legend_line(series, x, y);
            let (at, below, name) = (n(x + SAMPLE + 6.0), n(y + 4.0), escaped(&series.name));
            let _ = write!(body, r#"<text class="legend" x="{at}" y="{below}">{name}</text>"#);
            x += wide + 22.0;
        }
        y += 8.0;
    }
    y += 14.0;
    for k in 0..figure.panels.len() {
        let (row, column) = (k / columns, k % columns);
        let at = (MARGIN + column as f64 * (panel_width + GAP), y + row as f64 * (layout.height + GAP));
        let panel = panel::draw(figure, k, &layout, &format!("frame-{k}"));
        let _ = write!(body, r#"<g transform="translate({} {})">{panel}</g>"#, n(at.0), n(at.1));
    }
    y += figure.panels.len().div_ceil(columns) as f64 * (layout.height + GAP) - GAP;
    for line in text::lines(&figure.caption, CAPTION.0, inner) {
        y += CAPTION.1;
        let _ = write!(body, r#"<text class="caption" x="{MARGIN}" y="{}">{}</text>"#, n(y), escaped(&line));
    }
    let height = (y + MARGIN).ceil();
    let (title, about) = (escaped(&figure.title), escaped(&described(figure)));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"title about\">\n\
         <title id=\"title\">{title}</title>\n<desc id=\"about\">{about}</desc>\n\
         <style>{}</style>\n<rect class=\"ground\" width=\"{width}\" height=\"{height}\"/>\n{body}\n</svg>\n",
        style(&LIGHT)
    )
}

/// `figure` as a PNG, of two pixels for each unit of the SVG.
///
/// # Errors
/// If the picture is too large, there is no memory for it, or no way to read the drawing.
pub fn png(figure: &Figure) -> Result<Vec<u8>, String> {
    let mut fonts = fontdb::Database::new();
    for face in [REGULAR, BOLD] {
        fonts.load_font_data(face.to_vec());
    }
    let options =
        usvg::Options { fontdb: Arc::new(fonts), font_family: FAMILY.to_owned(), ..Default::default() };
    let tree = usvg::Tree::from_str(&svg(figure), &options).map_err(|e| e.to_string())?;
    let size = tree.size();
    let (width, height) = ((size.width() * PIXELS).ceil() as u32, (size.height() * PIXELS).ceil() as u32);
    let count = u64::from(width) * u64::from(height);
    if count > MAX_PIXELS {
        return Err(format!("the number of pixels is at most {MAX_PIXELS}, not {count}"));
    }
    let mut pixels = Pixmap::new(width, height).ok_or("it is too large to draw")?;
    resvg::render(&tree, Transform::from_scale(PIXELS, PIXELS), &mut pixels.as_mut());
    pixels.encode_png().map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests;
