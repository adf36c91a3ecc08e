//! The page as text. What it does in a browser is in `browser.rs`.

mod browser;
mod pipe;
mod sample;

use super::*;
use crate::analyse::{Case, Claim, Evidence, Found};
use crate::spec::Source;
use fgc_plot::{Axis, Figure, Panel, Point, Series};

#[test]
fn everything_is_on_the_page() {
    let report = sample::report();
    let page = html(&report);
    for claim in &report.claims {
        for text in [&claim.text, &claim.note, &claim.place] {
            assert!(page.contains(&escaped(text)), "{text}");
        }
        for evidence in &claim.evidence {
            assert!(page.contains(&prose(&evidence.rule)), "{}", evidence.rule);
            // A comparison without a single measurement says that instead.
            for case in evidence.cases.iter().filter(|_| evidence.counts().1 > 0) {
                assert!(page.contains(&escaped(&case.measured)) && page.contains(&escaped(&case.place)));
            }
        }
    }
    for found in &report.found {
        assert!(page.contains(&escaped(&found.text)), "{}", found.text);
    }
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text}"));
    assert!(place("id=\"found\"") < place("id=\"claims\"") && place("id=\"claims\"") < place("<figure "));
    // Details come with the figures of their experiment.
    assert!(
        place("id=\"claim-1\"") > place("id=\"figure-1\"")
            && place("id=\"claim-1\"") < place("id=\"figure-2\"")
    );
    for (name, value) in report.environment.iter().chain(&report.open) {
        assert!(page.contains(&prose(name)) && page.contains(&prose(value)), "{name}");
    }
    assert!(page.contains("by <code>sgd</code>") && page.contains("&amp; &lt;nothing&gt; else"));
    assert_eq!(page.matches("<figure ").count(), 4);
    assert_eq!(page, html(&report));
}

#[test]
fn the_page_asks_no_network() {
    let page = html(&sample::report());
    for text in ["http://", "https://", "url(", "@import", " src=", "fetch("] {
        // The names of the namespace and of clip paths are no addresses.
        let page = page.replace("http://www.w3.org/2000/svg", "").replace("url(#", "");
        assert!(!page.contains(text), "{text}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn names_on_the_page_are_of_one_thing() {
    let mut report = sample::report();
    report.sections.extend(report.sections.clone());
    let page = html(&report);
    let mut ids: Vec<&str> = page.split(" id=\"").skip(1).filter_map(|t| t.split('"').next()).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
    for target in page.split("href=\"#").skip(1).filter_map(|t| t.split('"').next()) {
        assert!(ids.binary_search(&target).is_ok(), "{target}");
    }
}

#[test]
fn text_is_no_markup() {
    let evil = "</script><script>alert(1)</script>\"'`<!--";
    let pair = (evil.to_owned(), evil.to_owned());
    let points = vec![Point::new(1.0, 1.0), Point::new(2.0, f64::NAN)];
    let series = Series::new(evil, 0, 0, points);
    let panel = Panel { title: evil.into(), x: Axis::linear(evil), y: Axis::log(evil), series: vec![series] };
    let figure = Figure {
        name: evil.into(),
        title: evil.into(),
        caption: evil.into(),
        columns: 0,
        panels: vec![panel],
    };
    let text = || evil.to_owned();
    let case = Case { place: text(), measured: text(), short: text(), holds: None };
    let evidence = Evidence { experiment: text(), rule: text(), most: true, cases: vec![case] };
    let claim = Claim {
        source: text(),
        number: Some(1),
        place: text(),
        text: text(),
        note: text(),
        experiment: text(),
        evidence: vec![evidence],
    };
    let source = Source { name: text(), title: text(), about: text() };
    let found = Found { text: text(), claims: vec![(text(), 1)] };
    let table = Table { title: text(), columns: vec![text(), text()], rows: vec![vec![], vec![text()]] };
    let section = Section {
        name: text(),
        title: text(),
        about: text(),
        settings: vec![pair.clone()],
        figures: vec![figure],
        missing: vec![],
        notes: vec![text()],
        tables: vec![table],
        claims: vec![],
    };
    let report = Report {
        title: text(),
        found: vec![found],
        sources: vec![source],
        claims: vec![claim],
        sections: vec![section],
        environment: vec![pair.clone()],
        open: vec![pair],
    };
    let page = html(&report);
    assert!(!page.contains("alert(1)</") && !page.contains("<!--"));
    assert_eq!(page.matches("<script").count(), page.matches("</script>").count());
    assert_eq!(page.matches("<script").count(), 2, "the data of the figure and the script");
}

#[test]
fn an_empty_report_is_a_page() {
    let page = html(&Report::default());
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert!(!page.contains("<table"));
}

#[test]
fn many_long_lines_are_a_small_file() {
    let mut report = sample::report();
    let figures = vec![fgc_plot::sample::training(); 12];
    let panels =
        |figure: Figure| Figure { panels: figure.panels.iter().cycle().take(9).cloned().collect(), ..figure };
    report.sections[0].figures = figures.into_iter().map(panels).collect();
    let size = html(&report).len();
    assert!(size < 3_000_000, "{size} bytes");
}

#[test]
fn reports_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    write(&sample::report(), &path).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), html(&sample::report()));
    assert!(write(&sample::report(), folder.path()).is_err());
}
