//! The driver against a real Chromium and a small extension of its own (`tests/extension`).

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use qemuweb_driver::{Browser, DEFAULT_TIMEOUT, Extension, LaunchOptions, Target, poll};

fn start() -> Result<(Browser, Extension)> {
    let browser = Browser::launch(&LaunchOptions::default())?;
    let extension = browser.load_extension(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/extension"))?;
    Ok((browser, extension))
}

#[test]
fn evaluates_and_reports_exceptions() -> Result<()> {
    let (browser, _) = start()?;
    let page = browser.open_page("about:blank")?;
    assert_eq!(
        page.evaluate("Promise.resolve({ a: [1, 'two'] })")?,
        serde_json::json!({ "a": [1, "two"] })
    );
    assert!(page.evaluate("undefined")?.is_null());

    let error = page
        .evaluate("(() => { throw new Error('so not') })()")
        .unwrap_err();
    assert!(format!("{error:#}").contains("Error: so not"), "{error:#}");
    let error = page.evaluate("Promise.reject('rejected')").unwrap_err();
    assert!(format!("{error:#}").contains("rejected"), "{error:#}");
    let error = page
        .evaluate_within("new Promise(() => {})", Duration::from_millis(200))
        .unwrap_err();
    assert!(format!("{error:#}").contains("waited 0.2 s"), "{error:#}");
    let error = page
        .wait_for("pigs to fly", "false", Duration::from_millis(100))
        .unwrap_err();
    assert!(format!("{error:#}").contains("pigs to fly"), "{error:#}");
    browser.close()
}

#[test]
fn speaks_with_a_page_of_the_extension() -> Result<()> {
    let (browser, extension) = start()?;
    let page = browser.open_page(&extension.url("panel.html"))?;
    assert_eq!(page.evaluate("crossOriginIsolated")?, true);

    let calls = page.add_binding("tell")?;
    page.evaluate("for (const what of ['one', 'two']) tell(what)")?;
    assert_eq!(calls.next_within(DEFAULT_TIMEOUT)?.as_deref(), Some("one"));
    assert_eq!(calls.next_within(DEFAULT_TIMEOUT)?.as_deref(), Some("two"));
    assert_eq!(calls.next_within(Duration::from_millis(50))?, None);

    page.click("#text")?;
    page.type_text("Hé 2")?;
    page.press("Backspace")?;
    assert_eq!(page.evaluate("document.querySelector('#text').value")?, "Hé ");
    page.click("#button")?;
    assert_eq!(
        page.evaluate("document.querySelector('#button').dataset.trusted")?,
        "true"
    );

    let directory = tempfile::tempdir()?;
    let (one, two) = (directory.path().join("one.bin"), directory.path().join("two.bin"));
    std::fs::write(&one, b"first")?;
    std::fs::write(&two, b"second")?;
    page.set_files("document.querySelector('#file')", &[&one, &two])?;
    let texts = "Promise.all([...document.querySelector('#file').files].map(file => file.text()))";
    assert_eq!(page.evaluate(texts)?, serde_json::json!(["first", "second"]));

    let png = page.screenshot()?;
    assert!(png.starts_with(b"\x89PNG"));
    browser.close()
}

#[test]
fn shows_a_panel_in_devtools() -> Result<()> {
    let (browser, extension) = start()?;
    let page = browser.open_page("data:text/html,<title>inspected</title>")?;
    let devtools = browser.open_devtools(&page)?;
    let panel = devtools.show_panel(&browser, &extension, "Probe", "panel.html")?;
    assert_eq!(panel.evaluate("document.title")?, "Probe");
    panel.click("#button")?;
    assert_eq!(
        panel.evaluate("document.querySelector('#button').dataset.trusted")?,
        "true"
    );
    panel.evaluate("document.querySelector('#text').focus()")?;
    panel.type_text("ls -l\n")?;
    assert_eq!(panel.evaluate("document.querySelector('#text').value")?, "ls -l");
    assert!(devtools.front_end().screenshot()?.starts_with(b"\x89PNG"));

    let other = browser.open_page(&extension.url("panel.html"))?;
    other.click("#button")?;
    let error = panel.click("#button").unwrap_err();
    assert!(format!("{error:#}").contains("in the background"), "{error:#}");
    browser.activate(&page)?;
    panel.click("#button")?;
    browser.close_target(&other)?;

    let dark = "matchMedia('(prefers-color-scheme: dark)').matches";
    devtools.set_theme("dark")?;
    panel.wait_for("the dark theme", dark, DEFAULT_TIMEOUT)?;
    devtools.set_theme("default")?;
    panel.wait_for("the light theme", &format!("!{dark}"), DEFAULT_TIMEOUT)?;

    devtools.close(&browser)?;
    browser
        .targets()
        .wait_gone("the panel", DEFAULT_TIMEOUT, |target| {
            target.id == panel.target().id
        })?;
    browser.close()
}

#[test]
fn follows_workers_and_collects_what_they_print() -> Result<()> {
    let (browser, extension) = start()?;
    let page = browser.open_page(&extension.url("panel.html"))?;
    assert_eq!(
        page.evaluate("chrome.runtime.sendMessage('offscreen')")?,
        "created"
    );
    let offscreen = browser.session("the offscreen document", DEFAULT_TIMEOUT, |target| {
        target.url == extension.url("offscreen.html")
    })?;
    assert_eq!(offscreen.evaluate("crossOriginIsolated")?, true);

    for (kind, text) in [
        ("service_worker", "service worker started"),
        ("worker", "nested worker"),
        ("worker", "thrown in the worker"),
    ] {
        poll(
            &format!("{text:?} in the log of a {kind}"),
            DEFAULT_TIMEOUT,
            || {
                let log = browser.log();
                Ok(log
                    .iter()
                    .any(|entry| entry.target_kind == kind && entry.text.contains(text))
                    .then_some(()))
            },
        )?;
    }

    assert!(
        browser
            .log()
            .iter()
            .any(|entry| entry.text.starts_with("offscreen document"))
    );

    let worker = |target: &Target| target.kind == "service_worker";
    let first = browser.session("the service worker", DEFAULT_TIMEOUT, worker)?;
    first.evaluate("globalThis.mark = true")?;
    browser.terminate_service_worker(&extension)?;
    assert_eq!(
        offscreen.evaluate("1 + 1")?,
        2,
        "the offscreen document outlives the service worker"
    );
    let again = page.evaluate("chrome.runtime.sendMessage('offscreen')")?;
    let second = browser.session("the new service worker", DEFAULT_TIMEOUT, worker)?;
    assert_eq!(
        second.evaluate("typeof mark")?,
        "undefined",
        "the service worker was really stopped"
    );
    assert!(
        again.as_str().unwrap_or_default().contains("single offscreen"),
        "{again}"
    );
    browser.close()
}

#[test]
fn a_browser_that_dies_is_noticed() -> Result<()> {
    let (mut browser, _) = start()?;
    let page = browser.open_page("about:blank")?;
    let error = page.evaluate("1; debugger").err();
    assert!(error.is_none());
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(browser.pid() as i32).unwrap(),
        rustix::process::Signal::KILL,
    )?;
    let error = page.evaluate("new Promise(() => {})").unwrap_err();
    assert!(format!("{error:#}").contains("browser"), "{error:#}");
    poll("the end of the browser", DEFAULT_TIMEOUT, || {
        Ok(browser.has_ended().then_some(()))
    })
}

#[test]
fn refusals_are_told() -> Result<()> {
    let browser = Browser::launch(&LaunchOptions::default())?;
    let empty = tempfile::tempdir()?;
    let error = browser.load_extension(empty.path()).unwrap_err();
    assert!(format!("{error:#}").contains("Manifest"), "{error:#}");
    let options = LaunchOptions {
        executable: Some("/nonexistent/chromium".into()),
        ..LaunchOptions::default()
    };
    let error = Browser::launch(&options)
        .err()
        .map(|error| format!("{error:#}"))
        .unwrap_or_default();
    assert!(error.contains("/nonexistent/chromium"), "{error}");
    browser.close()
}
