//! `cargo xtask tidy`: the rules that keep the sources readable, clean and free of this machine's particulars.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::paths::Paths;
use crate::process::{self, find_program};
use crate::wasm;

/// Nothing larger is tracked, in bytes.
const MAX_FILE: u64 = 2 << 20;
/// A Rust file with more lines wants to be two.
const LONG_FILE: usize = 500;
/// What the panel's modules are made of that draw views.
const PANEL: &str = "panel/src";
/// Those that draw nothing and hold no view's signals, which may be gone when what they wait for comes.
const PAGE_MODULES: [&str; 7] = [
    "app/entry/panel.rs",
    "app/js_api.rs",
    "app/session.rs",
    "features/capture/recorder.rs",
    "features/capture/send.rs",
    "kit/browser.rs",
    "kit/later.rs",
];

pub(crate) fn main() -> Result<()> {
    let paths = Paths::find()?;
    let mut problems = source_problems(&paths)?;
    let mut check = |command: &mut Command| {
        if let Err(error) = process::run(command) {
            problems.push(format!("{error:#}"));
        }
    };
    check(process::cargo(&paths.root).args(["fmt", "--all", "--check"]));
    check(process::cargo(&paths.root).args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]));
    let mut browser = process::cargo(&paths.root);
    browser.args(["clippy", "--target", wasm::TARGET]);
    for module in &wasm::MODULES {
        browser.args(["--package", module.package]);
    }
    check(browser.args(["--", "--deny", "warnings"]));
    if find_program("cargo-deny").is_some() {
        check(process::cargo(&paths.root).args([
            "deny",
            "--workspace",
            "check",
            "bans",
            "licenses",
            "sources",
        ]));
    }
    if problems.is_empty() {
        return Ok(());
    }
    for problem in &problems {
        println!("{problem}");
    }
    bail!("{} problems", problems.len())
}

fn source_problems(paths: &Paths) -> Result<Vec<String>> {
    let particulars = Particulars::of_this_machine(&paths.root);
    let mut problems = Vec::new();
    for file in source_files(&paths.root)? {
        let path = paths.root.join(&file);
        // Deleted, but not yet committed so; links are checked where they lead.
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            continue;
        };
        if !metadata.is_file() {
            continue;
        }
        if metadata.len() > MAX_FILE {
            problems.push(format!(
                "{}: {} bytes; nothing over {MAX_FILE} is tracked",
                file.display(),
                metadata.len()
            ));
            continue;
        }
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if let Ok(text) = std::str::from_utf8(&bytes) {
            problems.extend(text_problems(&file, text, &particulars));
        }
    }
    Ok(problems)
}

/// What git tracks, and what it would if one added everything.
fn source_files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root);
    let listed = process::output(&mut git).context("tidy looks at the files that git knows")?;
    Ok(listed
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(PathBuf::from)
        .collect())
}

fn text_problems(file: &Path, text: &str, particulars: &Particulars) -> Vec<String> {
    let mut problems = Vec::new();
    let mut problem = |line: usize, what: &str| problems.push(format!("{}:{line}: {what}", file.display()));
    let extension = file.extension().unwrap_or_default();
    if extension == "rs" && !text.starts_with("//!") {
        problem(1, "a Rust file opens with //! and what it is for");
    }
    if extension == "rs" && text.lines().count() > LONG_FILE {
        println!("{}: more than {LONG_FILE} lines (only a hint)", file.display());
    }
    // The context lines of a patch are what they are.
    if extension != "patch" {
        for (index, line) in text.lines().enumerate() {
            if line.ends_with([' ', '\t', '\r']) {
                problem(index + 1, "white space at the end of the line");
            }
        }
        if !text.is_empty() && !text.ends_with('\n') {
            problem(text.lines().count(), "the last line is not ended");
        }
    }
    let draws = file
        .strip_prefix(PANEL)
        .is_ok_and(|module| !PAGE_MODULES.iter().any(|page| module == Path::new(page)));
    if draws {
        for (index, line) in text.lines().enumerate() {
            if let Some(found) = ["spawn_local", "queue_microtask"]
                .iter()
                .find(|found| line.contains(**found))
            {
                problem(
                    index + 1,
                    &format!("{found} outlives the view: take a later::Owner"),
                );
            }
        }
    }
    for (index, line) in text.lines().enumerate() {
        if let Some(found) = particulars.in_line(line) {
            problem(index + 1, &format!("{found:?} belongs to one machine"));
        }
    }
    problems
}

/// Texts that tell about the machine a file was written on: its package registries, a home, this checkout.
struct Particulars(BTreeSet<String>);

/// Where the package managers are told which registry to use.
const REGISTRY_SETTINGS: [&str; 9] = [
    "~/.npmrc",
    "/etc/npmrc",
    "~/.cargo/config.toml",
    "~/.cargo/config",
    "~/.config/pip/pip.conf",
    "~/.pip/pip.conf",
    "/etc/pip.conf",
    "/etc/apt/sources.list",
    "/etc/apt/sources.list.d",
];

impl Particulars {
    fn of_this_machine(root: &Path) -> Self {
        let mut texts = BTreeSet::new();
        let home = std::env::var("HOME").unwrap_or_default();
        if home == "/root" {
            // The home directory itself is also that of every root in our images.
            texts.extend([".cache/", ".cargo/", ".rustup/"].map(|directory| format!("{home}/{directory}")));
        } else if home.len() > 1 {
            texts.insert(format!("{home}/"));
        }
        if let Some(root) = root.to_str().filter(|root| root.matches('/').count() > 1) {
            texts.insert(format!("{root}/"));
        }
        for place in REGISTRY_SETTINGS {
            let path = PathBuf::from(place.replace('~', &home));
            let files = fs::read_dir(&path)
                .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
                .unwrap_or_else(|_| vec![path]);
            for text in files.iter().filter_map(|file| fs::read_to_string(file).ok()) {
                texts.extend(hosts(&text));
            }
        }
        for (name, value) in std::env::vars() {
            if ["REGISTRY", "INDEX", "MIRROR", "PROXY"]
                .iter()
                .any(|word| name.to_ascii_uppercase().contains(word))
            {
                texts.extend(hosts(&value));
            }
        }
        // What everybody's tools use by default tells nothing, and stands in lock files.
        texts.retain(|text| !["github.com", "localhost"].contains(&text.as_str()));
        Particulars(texts)
    }

    fn in_line(&self, line: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|text| line.contains(text.as_str()))
            .map(String::as_str)
    }
}

/// The host names of the URLs in a text, without user and port; addresses of the loopback are nobody's.
fn hosts(text: &str) -> Vec<String> {
    let after_scheme = text.split("://").skip(1);
    after_scheme
        .filter_map(|rest| {
            let authority = rest.split(|c: char| "/\"' \t\r\n)]".contains(c)).next()?;
            let host = authority.rsplit('@').next()?.split(':').next()?;
            (host.contains('.') && !host.starts_with("127.")).then(|| host.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(name: &str, text: &str) -> usize {
        let particulars = Particulars(BTreeSet::from(["mirror.example.org".to_owned()]));
        text_problems(Path::new(name), text, &particulars).len()
    }

    #[test]
    fn rules() {
        assert_eq!(problems("a.rs", "//! Says what it is for.\n"), 0);
        assert_eq!(problems("a.rs", "fn main() {}\n"), 1);
        assert_eq!(problems("a.js", "let a; \nlet b;\t\n"), 2);
        assert_eq!(problems("a.js", "let a;"), 1);
        assert_eq!(problems("a.patch", " \n+x"), 0);
        assert_eq!(problems("a.sh", "curl https://mirror.example.org/x\n"), 1);
        assert_eq!(problems("empty", ""), 0);
    }

    #[test]
    fn views_leave_nothing_behind() {
        let text = "//! Draws.\nspawn_local(async move { answer.await });\nqueue_microtask(f);\n";
        assert_eq!(problems("panel/src/features/monitor/view.rs", text), 2);
        assert_eq!(problems("panel/src/features/form/actions.rs", text), 2);
        assert_eq!(problems("panel/src/kit/later.rs", text), 0);
        assert_eq!(problems("background/src/host/mod.rs", text), 0);
    }

    #[test]
    fn hosts_are_found() {
        let text = "registry = \"sparse+https://user:pass@crates.example.org:8080/index/\"\ndeb http://deb.example.net suite main";
        assert_eq!(hosts(text), ["crates.example.org", "deb.example.net"]);
        assert_eq!(
            hosts("http://127.0.0.1:80/ https://localhost/"),
            Vec::<String>::new()
        );
    }
}
