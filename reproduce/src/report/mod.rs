//! `report.html`: one file that holds everything, opens from disk and asks no network.
//!
//! Figures are drawn here, as in files, and can be read without scripts; a script of the page adds values
//! under the pointer, zooming, and choosing what is shown.

mod figures;
mod text;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use fgc_ir::arrays::write_whole;
use fgc_train::{Error, Result};

use crate::draw::palette::{self, DARK, DASHES, LIGHT, Theme};
use crate::draw::panel;
use crate::draw::text::escaped;
use crate::section::{Claim, Report, Section, Table, Verdict};
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
    contents(report, &mut out);
    claims(report, &mut out);
    let mut figures = Figures::new(report);
    let anchors = anchors(report);
    for (section, anchor) in report.sections.iter().zip(&anchors) {
        self::section(section, anchor, &mut figures, &mut out);
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

/// What sections are called in addresses: their names, each a different one.
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
    if report.sections.iter().any(|s| !s.claims.is_empty()) {
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

/// A verdict as a badge, which is told by its sign and its word as well as by its colour.
fn badge(verdict: Verdict) -> String {
    let sign = match verdict {
        Verdict::Holds => "✓",
        Verdict::Partly => "◐",
        Verdict::Fails => "✗",
        Verdict::Open => "?",
    };
    format!("<span class=\"badge {verdict}\"><span aria-hidden=\"true\">{sign}</span> {verdict}</span>")
}

/// How many claims have each verdict, and the table of all of them.
fn claims(report: &Report, out: &mut String) {
    let all: Vec<&Claim> = report.sections.iter().flat_map(|s| &s.claims).collect();
    if all.is_empty() {
        return;
    }
    out.push_str("<section id=\"claims\"><h2>Claims, and what was measured</h2>\n<p class=\"count\">");
    for verdict in Verdict::ALL {
        let count = all.iter().filter(|c| c.verdict == verdict).count();
        if count > 0 {
            let _ = write!(out, "<span><b>{count}</b> {}</span> ", badge(verdict));
        }
    }
    out.push_str(
        "</p>\n<p>Claims are paraphrased, not quoted. Verdicts are computed from the results.</p>\n\
         <table class=\"claims\" role=\"table\"><thead role=\"rowgroup\"><tr role=\"row\">",
    );
    for name in ["Claim", "Measured", "Verdict", "Why"] {
        let _ = write!(out, "<th scope=\"col\" role=\"columnheader\">{name}</th>");
    }
    out.push_str("</tr></thead>\n");
    for (section, anchor) in report.sections.iter().zip(anchors(report)) {
        if section.claims.is_empty() {
            continue;
        }
        let (name, title) = (escaped(&section.name), escaped(&section.title));
        let _ = writeln!(
            out,
            "<tbody role=\"rowgroup\"><tr role=\"row\" class=\"group\">\
             <th scope=\"rowgroup\" role=\"rowheader\" colspan=\"4\">\
             <a href=\"#{anchor}\">{name}</a> <span>{title}</span></th></tr>"
        );
        for claim in &section.claims {
            let _ = writeln!(
                out,
                "<tr role=\"row\"><td role=\"cell\">{} <small>{}</small></td>\
                 <td role=\"cell\" data-name=\"Measured\">{}</td>\
                 <td role=\"cell\" data-name=\"Verdict\">{}</td>\
                 <td role=\"cell\" data-name=\"Why\">{}</td></tr>",
                prose(&claim.text),
                escaped(&claim.source),
                prose(&claim.measured),
                badge(claim.verdict),
                prose(&claim.why)
            );
        }
        out.push_str("</tbody>\n");
    }
    out.push_str("</table></section>\n");
}

/// One experiment.
fn section(section: &Section, anchor: &str, figures: &mut Figures, out: &mut String) {
    let title = if section.title.is_empty() { &section.name } else { &section.title };
    let _ = write!(
        out,
        "<section id=\"{anchor}\"><h2>{} <code>{}</code></h2>\n{}",
        escaped(title),
        escaped(&section.name),
        paragraphs(&section.about)
    );
    for figure in &section.figures {
        figures.push(figure, out);
    }
    for table in &section.tables {
        self::table(table, out);
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
mod browser;
#[cfg(test)]
mod tests;
