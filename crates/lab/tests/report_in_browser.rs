//! The report in a headless Chromium: that it draws, also in the dark, on a phone and on paper, that
//! it is worked by keyboard, and that it neither complains nor wants anything from elsewhere.
//!
//! Where there is no Chromium these tests look at nothing and say so; `scripts/setup --tests` installs
//! one. `BATON_CHROMIUM` names one that must be used, and `BATON_SCREENSHOTS` a directory for images and
//! the page.

#[path = "report_support/browser.rs"]
mod browser;
mod report_support;

use std::path::PathBuf;

use baton_lab::report::html;
use baton_lab::results::Results;
use browser::Browser;
use report_support::{judgement, results, timelines};
use serde_json::json;

/// A page that lies in a file as long as this lives.
struct Shown {
    browser: Browser,
    page: PathBuf,
    _folder: tempfile::TempDir,
}

impl Shown {
    /// The report of the fixture in a browser; none where there is no browser.
    fn new() -> Option<Self> {
        Self::of(&results())
    }

    fn of(results: &Results) -> Option<Self> {
        let browser = Browser::start()?;
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join("report.html");
        let text = html(results, &judgement(results), &timelines()).unwrap();
        std::fs::write(&page, &text).unwrap();
        if let Some(folder) = std::env::var_os("BATON_SCREENSHOTS") {
            std::fs::write(PathBuf::from(folder).join("report.html"), &text).unwrap();
        }
        Some(Self {
            browser,
            page,
            _folder: folder,
        })
    }

    fn open(&mut self, width: u32) {
        self.browser.open(&self.page.clone(), width);
    }

    /// Scrolls through the page until all charts that can be seen are drawn.
    fn draw_all(&mut self) {
        self.browser.value(
            "(async () => {
                for (const figure of document.querySelectorAll('figure.chart')) {
                    if (!figure.checkVisibility()) continue;
                    figure.scrollIntoView();
                    for (let n = 0; n < 300 && !figure.dataset.drawn; n += 1) await new Promise((done) => setTimeout(done, 20));
                }
                scrollTo(0, 0);
            })()",
        );
    }

    fn finish(mut self) {
        let complaints = self.browser.complaints();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }
}

/// Charts whose place has a width, without a drawing in it.
const EMPTY_CHARTS: &str = "[...document.querySelectorAll('figure.chart')]
    .filter((figure) => figure.checkVisibility())
    .filter((figure) => {
        const svg = figure.querySelector('.plot svg');
        const size = svg?.getBoundingClientRect();
        const shapes = svg?.querySelectorAll('circle, path, rect, line').length ?? 0;
        return !size || size.width < 200 || size.height < 60 || shapes < 10;
    })
    .map((figure) => figure.textContent)";

#[test]
fn every_section_and_chart_is_there() {
    let Some(mut shown) = Shown::new() else {
        return;
    };
    shown.open(1280);
    let sections = shown.browser.value(
        "[...document.querySelectorAll('main > section')].filter((s) => s.offsetHeight > 40).map((s) => s.id)",
    );
    let expected = [
        "answers",
        "verdicts",
        "measurements",
        "latencies",
        "timelines",
        "method",
        "environment",
        "values",
    ];
    assert_eq!(sections, json!(expected));
    shown.draw_all();
    assert_eq!(shown.browser.value(EMPTY_CHARTS), json!([]));
    shown.browser.picture("light");
    // Each run has its point: those of the first metric, that ended well.
    let results = results();
    let first = &results
        .metrics
        .iter()
        .find(|metric| metric.primary)
        .unwrap();
    let runs = results
        .runs
        .iter()
        .filter(|run| run.values.contains_key(&first.name));
    let of_it = runs.filter(|run| run.workload == first.workload).count();
    let points =
        "document.querySelectorAll('figure[data-chart=metric] [aria-label=dot] circle').length";
    assert!(shown.browser.number(points) >= of_it as f64);
    let first_points = "document.querySelector('figure[data-chart=metric]').querySelectorAll('[aria-label=dot] circle').length";
    assert_eq!(shown.browser.number(first_points), of_it as f64);
    // Intervals of all verdicts lie on their axis.
    let outside = "[...document.querySelectorAll('td.forest .interval')].filter((line) => {
        const cell = line.closest('td').getBoundingClientRect();
        const box = line.getBoundingClientRect();
        return box.width > 0 && (box.left < cell.left || box.right > cell.right);
    }).length";
    assert_eq!(shown.browser.number(outside), 0.0);
    // What is folded is drawn when it is unfolded.
    shown
        .browser
        .value("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })");
    shown.draw_all();
    assert_eq!(shown.browser.value(EMPTY_CHARTS), json!([]));
    shown.browser.picture("unfolded");
    shown.finish();
}

#[test]
fn a_phone_shows_it_without_scrolling_sideways() {
    let Some(mut shown) = Shown::new() else {
        return;
    };
    shown.open(360);
    shown
        .browser
        .value("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })");
    shown.draw_all();
    assert_eq!(
        shown.browser.number("document.documentElement.scrollWidth"),
        360.0
    );
    // Tables that are wider scroll within themselves, by keyboard too.
    let wide = shown.browser.value(
        "[...document.querySelectorAll('table')]
            .filter((table) => table.getBoundingClientRect().right > 361)
            .filter((table) => table.closest('.scroll')?.tabIndex !== 0)
            .length",
    );
    assert_eq!(wide, json!(0));
    let wide = "[...document.querySelectorAll('.plot svg')].filter((svg) => svg.getBoundingClientRect().right > 361).length";
    assert_eq!(shown.browser.number(wide), 0.0);
    shown.browser.picture("phone");
    shown.finish();
}

/// The least contrast of texts with the page, as WCAG counts it.
const LEAST_CONTRAST: &str = "(() => {
    const paint = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const light = (colour) => {
        paint.clearRect(0, 0, 1, 1);
        paint.fillStyle = colour;
        paint.fillRect(0, 0, 1, 1);
        const parts = [...paint.getImageData(0, 0, 1, 1).data].slice(0, 3).map((part) => {
            const share = part / 255;
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
    };
    const page = light(getComputedStyle(document.documentElement).backgroundColor);
    const contrast = (colour) => {
        const ink = light(colour);
        return (Math.max(page, ink) + 0.05) / (Math.min(page, ink) + 0.05);
    };
    const texts = [...document.querySelectorAll('h1, p, dd, small, summary, th, td, .verdict span, .plot text')];
    const own = (text) => text.closest('svg') ? getComputedStyle(text).fill : getComputedStyle(text).color;
    return Math.min(...texts.filter((text) => !text.closest('.timeline svg')).map((text) => contrast(own(text))));
})()";

#[test]
fn the_dark_scheme_and_paper_are_readable() {
    let Some(mut shown) = Shown::new() else {
        return;
    };
    let background = "getComputedStyle(document.documentElement).backgroundColor";
    for scheme in ["light", "dark"] {
        shown.browser.show_on("screen", scheme);
        shown.open(1280);
        shown.draw_all();
        let contrast = shown.browser.number(LEAST_CONTRAST);
        assert!(contrast >= 4.5, "{scheme}: {contrast}");
        shown.browser.picture(&format!("scheme-{scheme}"));
        let page = shown.browser.value(background);
        assert_eq!(page == json!("rgb(20, 22, 26)"), scheme == "dark", "{page}");
    }
    // On paper a dark scheme is light, and all charts are drawn, seen or not.
    shown.open(1280);
    shown
        .browser
        .value("dispatchEvent(new Event('beforeprint'))");
    shown.browser.show_on("print", "dark");
    let page = shown.browser.value(background);
    assert_ne!(page, json!("rgb(20, 22, 26)"));
    assert_eq!(shown.browser.value(EMPTY_CHARTS), json!([]));
    let contrast = shown.browser.number(LEAST_CONTRAST);
    assert!(contrast >= 4.5, "print: {contrast}");
    shown.browser.picture("paper");
    shown.finish();
}

#[test]
fn it_is_worked_by_keyboard() {
    let Some(mut shown) = Shown::new() else {
        return;
    };
    shown.open(1280);
    // Tab reaches everything that does something, the first thing first.
    shown.browser.press("Tab");
    let focused = "document.activeElement.textContent";
    assert_eq!(shown.browser.value(focused), json!("To the verdicts"));
    shown.browser.press("Enter");
    shown.browser.wait("location.hash === '#verdicts'");
    let unreachable =
        "[...document.querySelectorAll('a, button, summary, input, .scroll, .timeline .plot')]
        .filter((element) => element.tabIndex < 0).length";
    assert_eq!(shown.browser.number(unreachable), 0.0);
    shown.draw_all();
    // The arrow keys choose how points stand.
    let x_label = "[...document.querySelectorAll('figure[data-chart=metric] text')].some((text) => text.textContent === 'round')";
    assert_eq!(shown.browser.value(x_label), json!(false));
    shown
        .browser
        .value("document.querySelector('#arrange input').focus()");
    shown.browser.press("ArrowRight");
    shown.browser.wait(x_label);
    assert_eq!(shown.browser.value(EMPTY_CHARTS), json!([]));
    // A timeline that has the focus is moved by keys, and all move with it.
    let slices =
        "[...document.querySelectorAll('.timeline')].map((t) => t.querySelectorAll('rect').length)";
    let whole = shown.browser.value(slices);
    shown
        .browser
        .value("document.querySelector('.timeline .plot').focus()");
    for _ in 0..3 {
        shown.browser.press("+");
    }
    shown
        .browser
        .wait("document.querySelector('#window').textContent.includes(' to ')");
    let part = shown.browser.value(slices);
    let less = |at: usize| part[at].as_u64() < whole[at].as_u64();
    assert!((0..4).all(less), "{whole} {part}");
    let before = shown
        .browser
        .value("document.querySelector('#window').textContent");
    shown.browser.press("ArrowRight");
    assert_ne!(
        shown
            .browser
            .value("document.querySelector('#window').textContent"),
        before
    );
    shown.browser.press("0");
    assert_eq!(shown.browser.value(slices), whole);
    shown.finish();
}

#[test]
fn the_pointer_zooms_tells_and_downloads() {
    let Some(mut shown) = Shown::new() else {
        return;
    };
    shown.open(1280);
    shown.draw_all();
    shown
        .browser
        .value("document.querySelector('.timeline').scrollIntoView()");
    let left = shown
        .browser
        .number("document.querySelector('.timeline .plot').getBoundingClientRect().left");
    let top = shown
        .browser
        .number("document.querySelector('.timeline .plot').getBoundingClientRect().top");
    for (kind, x) in [
        ("mousePressed", 300.0),
        ("mouseMoved", 350.0),
        ("mouseMoved", 500.0),
        ("mouseReleased", 500.0),
    ] {
        let params = json!({ "type": kind, "x": left + x, "y": top + 20.0, "button": "left", "buttons": 1, "clickCount": 1 });
        shown.browser.call("Input.dispatchMouseEvent", params);
    }
    shown
        .browser
        .wait("document.querySelector('#window').textContent.includes(' ms to ')");
    shown.browser.picture("zoomed");
    // Beside a slice the pointer tells whose it is.
    let params = json!({ "type": "mouseMoved", "x": left + 300.0, "y": top + 20.0 });
    shown.browser.call("Input.dispatchMouseEvent", params);
    shown
        .browser
        .wait("document.querySelector('.timeline .plot').textContent.includes('on CPU')");
    // What is offered for download is what lies in the page.
    let saved = shown.browser.value(
        "(async () => {
            let blob;
            URL.createObjectURL = (made) => { blob = made; return 'data:,'; };
            HTMLAnchorElement.prototype.click = () => {};
            document.querySelector('#download').click();
            return await blob.text();
        })()",
    );
    let back: Results = serde_json::from_str(saved.as_str().unwrap()).unwrap();
    assert_eq!(back, results());
    shown.finish();
}

#[test]
fn names_from_outside_do_nothing() {
    let mut results = results();
    let hostile = "</script><script>document.title='gone'</script><img src=x onerror=\"document.title='gone'\">";
    let old = std::mem::replace(&mut results.variants[1].name, hostile.to_owned());
    for run in &mut results.runs {
        if run.variant == old {
            run.variant = hostile.to_owned();
            run.problem = Some(hostile.to_owned());
        }
    }
    results.workloads[0].what = hostile.to_owned();
    results.description = hostile.to_owned();
    let Some(mut shown) = Shown::of(&results) else {
        return;
    };
    shown.open(1280);
    shown.draw_all();
    assert_eq!(
        shown.browser.value("document.title"),
        json!("interactive – lab report")
    );
    assert_eq!(
        shown
            .browser
            .number("document.querySelectorAll('img').length"),
        0.0
    );
    assert_eq!(shown.browser.value(EMPTY_CHARTS), json!([]));
    shown.finish();
}
