//! The report in a real browser.
//!
//! ```text
//! apt-get install chromium        # or set CHROMIUM to the path of one
//! cargo test --workspace --lib -- browser --ignored
//! ```
//!
//! With `FGC_SCREENSHOTS` set to a folder, pictures of the page are left there to look at.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use fgc_plot::palette::{DARK, LIGHT};

use super::pipe::{self, Browser};
use super::sample;

const WHY: &str = "the browser's answer";

/// The report of sample data, opened from disk.
struct Page {
    browser: Browser,
    _folder: tempfile::TempDir,
}

impl Page {
    fn open() -> Page {
        let folder = tempfile::tempdir().unwrap();
        let path = match std::env::var_os("FGC_REPORT") {
            Some(path) => PathBuf::from(path).canonicalize().unwrap(),
            None => folder.path().join("report.html"),
        };
        if !path.exists() {
            super::super::write(&sample::report(), &path).unwrap();
        }
        let mut browser = Browser::start(folder.path());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        let mut page = Page { browser, _folder: folder };
        page.size(1280, 900, false);
        page.browser.call("Page.navigate", json!({ "url": format!("file://{}", path.display()) }));
        page.browser.wait("Page.loadEventFired");
        page
    }

    fn size(&mut self, width: u32, height: u32, phone: bool) {
        let scale = if phone { 2 } else { 1 };
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone });
        self.browser.call("Emulation.setDeviceMetricsOverride", metrics);
        self.browser
            .call("Emulation.setTouchEmulationEnabled", json!({ "enabled": phone, "maxTouchPoints": 5 }));
    }

    fn media(&mut self, media: &str, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.browser.call("Emulation.setEmulatedMedia", json!({ "media": media, "features": features }));
    }

    /// The value of an expression of the page.
    fn value(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true });
        let answer = self.browser.call("Runtime.evaluate", asked);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    fn text(&mut self, expression: &str) -> String {
        self.value(expression).as_str().expect(WHY).to_owned()
    }

    fn number(&mut self, expression: &str) -> f64 {
        self.value(expression).as_f64().expect(WHY)
    }

    /// A place on the screen: parts of the width and height of the frame of a panel, which is scrolled to.
    fn place(&mut self, panel: usize, parts: (f64, f64)) -> (f64, f64) {
        let rect = format!("document.querySelectorAll('.hit')[{panel}]");
        self.value(&format!("{rect}.scrollIntoView({{ block: 'center', behavior: 'instant' }})"));
        let mut side = |name: &str| self.number(&format!("{rect}.getBoundingClientRect().{name}"));
        (side("left") + parts.0 * side("width"), side("top") + parts.1 * side("height"))
    }

    fn mouse(&mut self, kind: &str, (x, y): (f64, f64), clicks: u32) {
        let button = if kind == "mouseMoved" && clicks == 0 { "none" } else { "left" };
        let buttons = u32::from(clicks > 0 && kind != "mouseReleased");
        let mut event = json!({ "type": kind, "x": x, "y": y });
        event["button"] = json!(button);
        event["buttons"] = json!(buttons);
        event["clickCount"] = json!(clicks);
        self.browser.call("Input.dispatchMouseEvent", event);
    }

    fn touch(&mut self, kind: &str, points: &[(f64, f64)]) {
        let point = |(id, (x, y)): (usize, &(f64, f64))| json!({ "x": x, "y": y, "id": id });
        let points: Vec<Value> = points.iter().enumerate().map(point).collect();
        self.browser.call("Input.dispatchTouchEvent", json!({ "type": kind, "touchPoints": points }));
    }

    fn key(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            self.browser.call("Input.dispatchKeyEvent", json!({ "type": kind, "key": key, "code": key }));
        }
    }

    fn tip(&mut self, panel: usize) -> String {
        self.text(&format!("document.querySelectorAll('.tip')[{panel}].textContent"))
    }

    /// What a panel's first line and its ticks are drawn as.
    fn drawn(&mut self, panel: usize) -> (String, String) {
        let line =
            format!("document.querySelectorAll('.panel')[{panel}].querySelector('.line').getAttribute('d')");
        let ticks =
            format!("document.querySelectorAll('.panel')[{panel}].querySelector('.axes').textContent");
        (self.text(&line), self.text(&ticks))
    }

    /// No part of the page is wider than the screen.
    fn fits(&mut self, width: f64) {
        let shown = self.number("document.documentElement.scrollWidth");
        assert!(shown <= width, "the page is {shown} pixels wide on a screen of {width}");
    }

    fn picture(&mut self, name: &str) {
        if let Some(folder) = std::env::var_os("FGC_SCREENSHOTS") {
            let whole = json!({ "format": "png", "captureBeyondViewport": true });
            let answer = self.browser.call("Page.captureScreenshot", whole);
            save(&PathBuf::from(folder), name, &answer);
        }
    }

    /// Nothing was asked of a network, and nothing went wrong.
    fn quiet(&self) {
        for event in self.browser.events() {
            let params = &event["params"];
            match event["method"].as_str().unwrap_or_default() {
                "Network.requestWillBeSent" => {
                    let url = params["request"]["url"].as_str().expect(WHY);
                    assert!(url.starts_with("file://") || url.starts_with("data:"), "asked for {url}");
                }
                "Runtime.exceptionThrown" => panic!("{params}"),
                "Runtime.consoleAPICalled" | "Log.entryAdded" => panic!("on the console: {params}"),
                _ => {}
            }
        }
    }
}

fn save(folder: &Path, name: &str, answer: &Value) {
    let bytes = pipe::decoded(answer["data"].as_str().expect(WHY));
    std::fs::write(folder.join(name), bytes).unwrap();
}

#[test]
#[ignore = "needs Chromium: cargo test --workspace --lib -- browser --ignored"]
fn values_are_under_the_pointer() {
    let mut page = Page::open();
    let at = page.place(0, (0.5, 0.5));
    page.mouse("mouseMoved", at, 0);
    let tip = page.tip(0);
    assert!(
        tip.contains("steps") && tip.contains("backpropagation") && tip.contains("forward gradient"),
        "{tip}"
    );
    page.picture("hover.png");
    page.mouse("mouseMoved", (5.0, 5.0), 0);
    assert_eq!(page.tip(0), "");
    // Paths that go to and fro have one value, that of the nearest point.
    let at = page.place(4, (0.5, 0.5));
    page.mouse("mouseMoved", at, 0);
    assert!(page.tip(4).starts_with('x'), "{}", page.tip(4));
    page.quiet();
}

#[test]
#[ignore = "needs Chromium: cargo test --workspace --lib -- browser --ignored"]
fn figures_are_zoomed_and_shown_whole_again() {
    let mut page = Page::open();
    let (from, to) = (page.place(1, (0.2, 0.2)), page.place(1, (0.6, 0.9)));
    let before = page.drawn(1);
    page.mouse("mousePressed", from, 1);
    page.mouse("mouseMoved", to, 1);
    page.mouse("mouseReleased", to, 1);
    let zoomed = page.drawn(1);
    assert_ne!(zoomed, before);
    assert_eq!(
        page.value("document.querySelectorAll('.panel')[1].classList.contains('zoomed')"),
        json!(true)
    );
    page.mouse("mouseMoved", to, 0);
    page.picture("zoomed.png");
    for clicks in [1, 2] {
        page.mouse("mousePressed", to, clicks);
        page.mouse("mouseReleased", to, clicks);
    }
    assert_eq!(page.drawn(1).0, before.0, "the line is where it was drawn first");
    // The tools do the same.
    let click = |label: &str| {
        format!("document.querySelectorAll('.panel')[1].querySelector('[aria-label=\"{label}\"]').click()")
    };
    page.value(&click("Zoom in"));
    assert_ne!(page.drawn(1).0, before.0);
    page.value(&click("Show all"));
    assert_eq!(page.drawn(1).0, before.0);
    page.value(&click("Logarithmic vertical axis"));
    assert_ne!(page.drawn(1).0, before.0);
    page.picture("linear.png");
    page.quiet();
}

#[test]
#[ignore = "needs Chromium: cargo test --workspace --lib -- browser --ignored"]
fn lines_are_hidden_and_keys_read_values() {
    let mut page = Page::open();
    let hidden = "document.querySelectorAll('.series.off').length";
    page.value("document.querySelector('.legend button').click()");
    assert_eq!(page.number(hidden), 3.0, "the line is hidden in each panel");
    page.value("document.querySelector('.legend button').click()");
    assert_eq!(page.number(hidden), 0.0);
    page.value("document.querySelector('.panel svg').focus()");
    page.key("ArrowRight");
    let first = page.tip(0);
    assert!(first.starts_with("steps0"), "{first}");
    page.key("ArrowRight");
    assert!(page.tip(0) != first && !page.tip(0).is_empty());
    page.key("Escape");
    assert_eq!(page.tip(0), "");
    page.quiet();
}

#[test]
#[ignore = "needs Chromium: cargo test --workspace --lib -- browser --ignored"]
fn the_page_is_for_phones_too() {
    let mut page = Page::open();
    page.fits(1280.0);
    for width in [390, 360] {
        page.size(width, 844, true);
        page.fits(width.into());
    }
    page.picture("phone.png");
    let at = page.place(0, (0.5, 0.5));
    page.touch("touchStart", &[at]);
    let tip = page.tip(0);
    assert!(tip.contains("backpropagation"), "{tip}");
    page.fits(360.0);
    page.picture("phone-touch.png");
    page.touch("touchEnd", &[]);
    let before = page.drawn(0);
    let near = [page.place(0, (0.45, 0.5)), page.place(0, (0.55, 0.5))];
    let far = [page.place(0, (0.2, 0.5)), page.place(0, (0.8, 0.5))];
    page.touch("touchStart", &near);
    page.touch("touchMove", &far);
    page.touch("touchEnd", &[]);
    assert_ne!(page.drawn(0), before, "two fingers zoom");
    page.quiet();
}

#[test]
#[ignore = "needs Chromium: cargo test --workspace --lib -- browser --ignored"]
fn the_page_is_dark_or_light_or_on_paper() {
    let mut page = Page::open();
    let ground = "getComputedStyle(document.body).backgroundColor";
    let rgb = |hex: &str| {
        let part = |k: usize| u8::from_str_radix(&hex[k..k + 2], 16).unwrap();
        format!("rgb({}, {}, {})", part(1), part(3), part(5))
    };
    assert_eq!(page.text(ground), rgb(LIGHT.ground));
    page.picture("light.png");
    page.media("screen", "dark");
    assert_eq!(page.text(ground), rgb(DARK.ground));
    page.picture("dark.png");
    page.value("document.getElementById('theme').click()");
    assert_eq!(page.text(ground), rgb(LIGHT.ground), "the switch");
    page.value("document.getElementById('theme').click()");
    page.media("print", "dark");
    assert_eq!(page.text(ground), rgb(LIGHT.ground), "paper is white");
    page.media("", "light");
    let printed =
        page.browser.call("Page.printToPDF", json!({ "printBackground": false, "preferCSSPageSize": true }));
    assert!(pipe::decoded(printed["data"].as_str().expect(WHY)).starts_with(b"%PDF"));
    if let Some(folder) = std::env::var_os("FGC_SCREENSHOTS") {
        save(&PathBuf::from(folder), "report.pdf", &printed);
    }
    page.quiet();
}

#[test]
#[ignore = "needs Chromium: cargo test --workspace --lib -- browser --ignored"]
fn the_page_can_be_read_aloud() {
    let mut page = Page::open();
    page.browser.call("Accessibility.enable", json!({}));
    page.size(360, 740, true);
    // Tables of results are folded.
    page.value("document.querySelectorAll('details:not(.claim)').forEach((part) => { part.open = true; })");
    let tree = page.browser.call("Accessibility.getFullAXTree", json!({}));
    let nodes: Vec<&Value> =
        tree["nodes"].as_array().expect(WHY).iter().filter(|n| n["ignored"] != json!(true)).collect();
    let of = |role: &str| nodes.iter().filter(|n| n["role"]["value"] == json!(role)).collect::<Vec<_>>();
    for role in ["image", "button", "link", "heading", "region"] {
        let found = of(role);
        assert!(!found.is_empty(), "no {role}");
        for node in found {
            assert!(
                !node["name"]["value"].as_str().unwrap_or_default().is_empty(),
                "a {role} without a name: {node}"
            );
        }
    }
    assert_eq!(of("image").len(), fgc_plot::sample::figures().iter().map(|f| f.panels.len()).sum::<usize>());
    assert!(of("table").len() >= 2, "claims and results are tables on phones too");
    let heads: Vec<&str> = of("columnheader").iter().filter_map(|n| n["name"]["value"].as_str()).collect();
    for name in ["No.", "Claim", "Verdict", "Measured"] {
        assert!(heads.contains(&name), "{name} isn't in {heads:?}");
    }
    page.quiet();
}
