//! `report.html`: one file that holds everything, opens from disk and asks no network.
//!
//! Figures are drawn here, as in files, and can be read without scripts; a script of the page adds values
//! under the pointer, zooming, and choosing what is shown.

mod claims;
mod figures;
mod text;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use fgc_ir::files::write_whole;
use fgc_train::{Error, Result};

use crate::analyse::{Report, Section, Table};
use fgc_plot::palette::{self, DARK, DASHES, LIGHT, Theme};
use fgc_plot::panel;
use fgc_plot::text::escaped;
use figures::Figures;
use text::{paragraphs, prose};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The page may run and show what is in it, and fetch nothing.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";

/// `report` as a page.
pub fn html(report: &Report) -> String {
    let mut out = String::new();
    let title = escaped(&report.title);
    let _ = writeln!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{title}</title>\n\
         <style>\n{}{STYLE}</style>\n</head>\n<body>\n<header><h1>{title}</h1>\
         <button type=\"button\" id=\"theme\" hidden>dark</button></header>\n<main>",
        colours()
    );
    claims::found(report, &mut out);
    contents(report, &mut out);
    claims::table(report, &mut out);
    let mut figures = Figures::new(report);
    let anchors = anchors(report);
    for (section, anchor) in report.sections.iter().zip(&anchors) {
        self::section(report, section, anchor, &mut figures, &mut out);
    }
    for (id, title, pairs) in [
        ("open", "What the paper leaves open, and what was chosen", &report.open),
        ("environment", "Versions, hardware and seeds", &report.environment),
    ] {
        if !pairs.is_empty() {
            let _ = writeln!(out, "<section id=\"{id}\"><h2>{title}</h2>\n{}</section>", list(pairs));
        }
    }
    let _ = writeln!(out, "</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>");
    out
}

/// Writes `report` to `path`.
///
/// # Errors
/// If the file can't be written.
pub fn write(report: &Report, path: &Path) -> Result<()> {
    write_whole(path, html(report).as_bytes()).map_err(|e| Error::file(path, e))
}

/// The colours of the drawings as variables of the style sheet: light, dark where the reader's system or the
/// switch says so, and light on paper.
fn colours() -> String {
    let variables = |theme: &Theme| {
        let Theme { ground, ink, quiet, grid, series } = theme;
        let mut css = format!("--ground:{ground};--ink:{ink};--quiet:{quiet};--grid:{grid};");
        for (k, colour) in series.iter().enumerate() {
            let _ = write!(css, "--c{k}:{colour};");
        }
        css
    };
    let (light, dark) = (variables(&LIGHT), variables(&DARK));
    let mut css = format!(
        ":root{{{light}color-scheme:light}}\n\
         @media screen and (prefers-color-scheme:dark)\
         {{:root:not([data-theme=light]){{{dark}color-scheme:dark}}}}\n\
         @media screen{{:root[data-theme=dark]{{{dark}color-scheme:dark}}}}\n"
    );
    for k in 0..palette::COLOURS {
        let _ = write!(css, ".c{k}{{color:var(--c{k})}}");
    }
    for (k, dash) in DASHES.iter().enumerate().skip(1) {
        let _ = write!(css, ".d{k}{{stroke-dasharray:{dash}}}");
    }
    let (name, label, tick) = (panel::NAME_SIZE, panel::LABEL_SIZE, panel::TICK_SIZE);
    let _ =
        writeln!(css, ".name{{font-size:{name}px}}.label{{font-size:{label}px}}.tick{{font-size:{tick}px}}");
    css
}

/// The names of sections in addresses, no two alike.
fn anchors(report: &Report) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let anchor = |section: &Section| {
        let name: String = section.name.chars().map(plain).collect();
        let count = seen.entry(name.clone()).or_default();
        *count += 1;
        // No name has a dot, so none is taken for a numbered one.
        if *count == 1 { format!("experiment-{name}") } else { format!("experiment-{name}.{count}") }
    };
    report.sections.iter().map(anchor).collect()
}

/// Links to the sections.
fn contents(report: &Report, out: &mut String) {
    out.push_str("<nav aria-label=\"Contents\"><ul>\n");
    let mut link = |anchor: &str, name: &str| {
        let _ = writeln!(out, "<li><a href=\"#{anchor}\">{}</a></li>", escaped(name));
    };
    if !report.claims.is_empty() {
        link("claims", "Claims");
    }
    for (section, anchor) in report.sections.iter().zip(anchors(report)) {
        link(&anchor, &section.name);
    }
    if !report.open.is_empty() {
        link("open", "Left open");
    }
    if !report.environment.is_empty() {
        link("environment", "Environment");
    }
    out.push_str("</ul></nav>\n");
}

/// One experiment.
fn section(report: &Report, section: &Section, anchor: &str, figures: &mut Figures, out: &mut String) {
    let title = if section.title.is_empty() { &section.name } else { &section.title };
    let _ = write!(
        out,
        "<section id=\"{anchor}\"><h2>{} <code>{}</code></h2>\n{}",
        escaped(title),
        escaped(&section.name),
        paragraphs(&section.about)
    );
    for note in &section.notes {
        let _ = writeln!(out, "<p class=\"note\">{}</p>", prose(note));
    }
    for figure in &section.figures {
        figures.push(figure, out);
    }
    claims::details(report, section, out);
    if !section.tables.is_empty() {
        out.push_str("<details><summary>Results as tables</summary>\n");
        for table in &section.tables {
            self::table(table, out);
        }
        out.push_str("</details>\n");
    }
    if !section.settings.is_empty() {
        let _ = writeln!(out, "<details><summary>Settings</summary>{}</details>", list(&section.settings));
    }
    out.push_str("</section>\n");
}

/// A table of results; it scrolls by itself where it is wider than the page. A last row that is too short is
/// filled.
fn table(table: &Table, out: &mut String) {
    let title = escaped(&table.title);
    let _ = write!(
        out,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\">\
         <table class=\"results\"><caption>{title}</caption><thead><tr>"
    );
    for column in &table.columns {
        let _ = write!(out, "<th scope=\"col\">{}</th>", prose(column));
    }
    out.push_str("</tr></thead><tbody>\n");
    for row in &table.rows {
        out.push_str("<tr>");
        for (k, cell) in row.iter().enumerate() {
            let _ = match k {
                0 => write!(out, "<th scope=\"row\">{}</th>", prose(cell)),
                _ => write!(out, "<td>{}</td>", prose(cell)),
            };
        }
        out.push_str(&"<td></td>".repeat(table.columns.len().saturating_sub(row.len())));
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
}

/// Pairs of names and what they stand for.
fn list(pairs: &[(String, String)]) -> String {
    let mut out = String::from("<dl>");
    for (name, value) in pairs {
        let _ = writeln!(out, "<div><dt>{}</dt><dd>{}</dd></div>", prose(name), prose(value));
    }
    out + "</dl>"
}

#[cfg(test)]
mod tests;
