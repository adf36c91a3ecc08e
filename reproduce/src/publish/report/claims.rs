//! What was found, the table of claims, and the details of each.

use std::fmt::Write as _;

use super::anchors;
use super::text::prose;
use crate::analyse::{Claim, Evidence, Report, Section};
use crate::spec::{Source, Verdict};
use fgc_plot::text::escaped;

/// The most cases that the table has a mark for each of.
const MARKS: usize = 16;
/// The most numbers in a cell of the table.
const NUMBERS: usize = 3;

/// A verdict as a badge, which has a sign and a word as well as a colour.
fn badge(verdict: Verdict) -> String {
    let sign = match verdict {
        Verdict::Holds => "✓",
        Verdict::Partly => "◐",
        Verdict::Fails => "✗",
        Verdict::Open => "?",
    };
    format!("<span class=\"badge {verdict}\"><span aria-hidden=\"true\">{sign}</span> {verdict}</span>")
}

/// The name of a claim in addresses: its place among all.
fn anchor(report: &Report, claim: &Claim) -> String {
    let place = report.claims.iter().position(|other| other == claim).expect("a claim of the report");
    format!("claim-{}", place + 1)
}

/// The lines of what was found, each with the claims that it rests on.
pub fn found(report: &Report, out: &mut String) {
    if report.found.is_empty() {
        return;
    }
    out.push_str("<section id=\"found\"><h2>What was found</h2>\n<ul class=\"found\">\n");
    for line in &report.found {
        let _ = write!(out, "<li>{}", prose(&line.text));
        for (source, number) in &line.claims {
            let of = |claim: &&Claim| claim.source == *source && claim.number == Some(*number);
            if let Some(claim) = report.claims.iter().find(of) {
                let (id, verdict) = (anchor(report, claim), claim.verdict());
                let _ = write!(
                    out,
                    " <a class=\"chip {verdict}\" href=\"#{id}\" aria-label=\"claim {number} {verdict}\">{number}</a>"
                );
            }
        }
        out.push_str("</li>\n");
    }
    out.push_str("</ul></section>\n");
}

/// How many claims have each verdict.
fn counts(claims: &[&Claim]) -> String {
    let mut out = String::new();
    for verdict in Verdict::ALL {
        let count = claims.iter().filter(|claim| claim.verdict() == verdict).count();
        if count > 0 {
            let _ = write!(out, "<span><b>{count}</b> {}</span> ", badge(verdict));
        }
    }
    out
}

/// The tables of claims, one for each source.
pub fn table(report: &Report, out: &mut String) {
    if report.claims.is_empty() {
        return;
    }
    out.push_str(
        "<section id=\"claims\"><h2>Claims</h2>\n\
         <p>Verdicts are computed from the results. A mark is a comparison: full where it is as claimed, hollow where it \
         isn't; numbers are those of the first ones. ✕ is a run whose loss isn't finite any more. Details are with the \
         figures.</p>\n",
    );
    for source in &report.sources {
        let claims: Vec<&Claim> = report.claims.iter().filter(|claim| of_source(claim, source)).collect();
        let _ = writeln!(
            out,
            "<h3 class=\"source\">{}</h3>\n<p class=\"count\">{}</p>",
            prose(&source.title),
            counts(&claims)
        );
        if !source.about.is_empty() {
            let _ = writeln!(out, "<p>{}</p>", prose(&source.about));
        }
        out.push_str("<table class=\"claims\" role=\"table\"><thead role=\"rowgroup\"><tr role=\"row\">");
        for name in ["No.", "Claim", "Verdict", "Measured"] {
            let _ = write!(out, "<th scope=\"col\" role=\"columnheader\">{name}</th>");
        }
        out.push_str("</tr></thead>\n<tbody role=\"rowgroup\">");
        for claim in claims {
            row(report, claim, out);
        }
        out.push_str("</tbody></table>\n");
    }
    out.push_str("</section>\n");
}

/// Whether `claim` is of `source`: by its own word, or because it is a claim of the user's experiment of that name.
fn of_source(claim: &Claim, source: &Source) -> bool {
    match claim.number {
        Some(_) => claim.source == source.name,
        None => claim.experiment == source.name,
    }
}

fn row(report: &Report, claim: &Claim, out: &mut String) {
    let number = claim.number.map(|number| number.to_string()).unwrap_or_default();
    let place = match (claim.number, claim.place.as_str()) {
        (None, _) if !claim.source.is_empty() => format!(" <small>{}</small>", escaped(&claim.source)),
        (_, "") => String::new(),
        (_, place) => format!(" <small>{}</small>", escaped(place)),
    };
    let shorts: Vec<&str> =
        claim.evidence.iter().flat_map(|e| &e.cases).map(|case| case.short.as_str()).collect();
    let more = match shorts.len().saturating_sub(NUMBERS) {
        0 => String::new(),
        more => format!(" <small>and {more} more</small>"),
    };
    let shown = shorts.iter().take(NUMBERS).map(|short| format!("<span>{}</span>", escaped(short)));
    let marks: String = claim.evidence.iter().map(marks).collect();
    let _ = writeln!(
        out,
        "<tr role=\"row\"><th scope=\"row\" role=\"rowheader\">{number}</th>\
         <td role=\"cell\"><a href=\"#{}\">{}</a>{place}</td><td role=\"cell\">{}</td>\
         <td role=\"cell\"><span class=\"marks\">{marks}</span> <span class=\"numbers\">{}{more}</span></td></tr>",
        anchor(report, claim),
        prose(&claim.text),
        badge(claim.verdict()),
        shown.collect::<Vec<_>>().join(" "),
    );
}

/// A mark for each case of a comparison; how many, where there are too many.
fn marks(evidence: &Evidence) -> String {
    let (held, all) = evidence.counts();
    if all == 0 {
        return String::new();
    }
    let label = format!("{held} of {all}");
    let inner = match all {
        0..=MARKS => evidence
            .cases
            .iter()
            .filter_map(|case| case.holds)
            .map(|holds| if holds { "<i class=\"yes\"></i>" } else { "<i class=\"no\"></i>" })
            .collect(),
        _ => escaped(&label),
    };
    format!("<span role=\"group\" aria-label=\"as claimed in {label}\">{inner}</span>")
}

/// The details of the claims that are shown with `section`, folded.
pub fn details(report: &Report, section: &Section, out: &mut String) {
    let here = |claim: &&Claim| home(report, claim).is_some_and(|home| std::ptr::eq(home, section));
    for claim in report.claims.iter().filter(here) {
        let number = claim.number.map(|number| format!("<b>{number}</b> ")).unwrap_or_default();
        let source =
            report.sources.iter().find(|source| source.name == claim.source && claim.number.is_some());
        let source = source.map(|source| source.title.as_str()).unwrap_or(claim.source.as_str());
        let source = [source, claim.place.as_str()].into_iter().filter(|part| !part.is_empty());
        let _ = writeln!(
            out,
            "<details class=\"claim\" id=\"{}\"><summary>{} {number}{}</summary>\n<p><small>{}</small></p>",
            anchor(report, claim),
            badge(claim.verdict()),
            prose(&claim.text),
            escaped(&source.collect::<Vec<_>>().join(", "))
        );
        if !claim.note.is_empty() {
            let _ = writeln!(out, "<p>{}</p>", prose(&claim.note));
        }
        for evidence in &claim.evidence {
            self::evidence(report, evidence, out);
        }
        out.push_str("</details>\n");
    }
}

/// The section that has the details of `claim`: that of its experiment, or the first that it has results of.
fn home<'r>(report: &'r Report, claim: &Claim) -> Option<&'r Section> {
    let named = |name: &str| report.sections.iter().find(|section| section.name == name);
    named(&claim.experiment).or_else(|| claim.evidence.iter().find_map(|e| named(&e.experiment)))
}

/// A comparison: its rule, and each case.
fn evidence(report: &Report, evidence: &Evidence, out: &mut String) {
    let most = if evidence.most { " (asked of more than half)" } else { "" };
    let there = report.sections.iter().position(|section| section.name == evidence.experiment);
    let link = there.and_then(|k| anchors(report).get(k).cloned()).map_or_else(
        || format!("<code>{}</code>", escaped(&evidence.experiment)),
        |id| format!("<a href=\"#{id}\"><code>{}</code></a>", escaped(&evidence.experiment)),
    );
    let rule = prose(&evidence.rule);
    let _ =
        writeln!(out, "<p class=\"rule\">{} Asked of {link}: {rule}{most}.</p>", badge(evidence.verdict()));
    if evidence.counts().1 == 0 {
        out.push_str("<p class=\"note\">Nothing was measured that decides on it.</p>\n");
        return;
    }
    out.push_str("<ul class=\"cases\">\n");
    for case in &evidence.cases {
        let (class, sign, word) = match case.holds {
            Some(true) => ("holds", "✓", "as claimed"),
            Some(false) => ("fails", "✗", "not as claimed"),
            None => ("open", "?", "not measured"),
        };
        let place = match case.place.as_str() {
            "" => String::new(),
            place => format!("<b>{}</b> ", escaped(place)),
        };
        let _ = writeln!(
            out,
            "<li><span class=\"{class}\" role=\"img\" aria-label=\"{word}\">{sign}</span> {place}{}</li>",
            prose(&case.measured)
        );
    }
    out.push_str("</ul>\n");
}
