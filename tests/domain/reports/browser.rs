//! The pages in a real browser, with screenshots in `target/reports/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::golden::{PAGES, made, root};

/// The names of the browser's program.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

fn found() -> Option<&'static str> {
    let runs =
        |name: &&str| Command::new(name).arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success());
    NAMES.into_iter().find(runs)
}

/// Returns the browser. Debian's own is installed if possible; without one, the test is skipped.
fn browser() -> Option<&'static str> {
    found().or_else(|| {
        let quiet = |arguments: &[&str]| {
            let run = Command::new("timeout").arg("300").arg("apt-get").args(arguments).stdout(Stdio::null()).status();
            run.is_ok_and(|status| status.success())
        };
        let installed = quiet(&["install", "-y", "--no-install-recommends", "chromium"])
            || (quiet(&["update"]) && quiet(&["install", "-y", "--no-install-recommends", "chromium"]));
        if !installed {
            eprintln!("skipped: no browser to look at the reports with; `apt-get install chromium` gives one");
        }
        found()
    })
}

/// Runs the browser on a page, with a profile of its own.
fn run(browser: &str, page: &Path, profile: &Path, arguments: &[String]) -> Output {
    let output = Command::new("timeout")
        .arg("120")
        .arg(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"])
        .args(["--enable-logging=stderr", "--v=0", "--no-first-run", "--disable-background-networking"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(arguments)
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {}", page.display(), String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let complaints: Vec<_> = said.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(complaints.is_empty(), "{}: {complaints:?}", page.display());
    output
}

fn pictures() -> PathBuf {
    let folder = root("target/reports");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Returns the number of a PDF's pages.
fn pages_of(pdf: &[u8]) -> usize {
    let text = String::from_utf8_lossy(pdf);
    text.matches("/Type /Page").count() - text.matches("/Type /Pages").count()
}

/// Checks that a screenshot shows more than its background, which compresses to almost nothing.
fn is_drawn(png: &[u8]) -> bool {
    png.starts_with(b"\x89PNG") && png.len() > 20_000
}

#[test]
fn a_browser_shows_every_report_and_prints_it() {
    let Some(browser) = browser() else { return };
    let (folder, profile) = (pictures(), tempfile::tempdir().unwrap());
    for (name, page) in PAGES.iter() {
        let dumped = run(browser, page, profile.path(), &["--dump-dom".to_owned()]).stdout;
        let dumped = String::from_utf8(dumped).unwrap();
        let rows = made(*name).0.rows.len();
        assert_eq!(dumped.matches("<tbody>").count(), rows, "{name}: the rows as the browser reads them");
        assert!(!dumped.contains("<script"), "{name}");

        let (picture, pdf) = (folder.join(format!("{name}.png")), folder.join(format!("{name}.pdf")));
        let look = [format!("--screenshot={}", picture.display()), "--window-size=1200,1400".to_owned()];
        run(browser, page, profile.path(), &look);
        assert!(is_drawn(&fs::read(&picture).unwrap()), "{name}: {} shows nothing", picture.display());
        run(
            browser,
            page,
            profile.path(),
            &[format!("--print-to-pdf={}", pdf.display()), "--no-pdf-header-footer".to_owned()],
        );
        let pages = pages_of(&fs::read(&pdf).unwrap());
        assert!(pages >= 1 && pages <= 1 + rows, "{name}: {} has {pages} pages", pdf.display());
    }
}
