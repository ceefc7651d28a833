//! Checks of a page's accessibility: names for screen readers, contrast, reach by keyboard, fit at a width.

use anyhow::{Result, ensure};
use qemuweb_driver::Session;
use serde_json::{Value, json};

/// Roles of what a person operates; each needs a name that a screen reader can say.
const OPERATED: [&str; 14] = [
    "button",
    "checkbox",
    "combobox",
    "link",
    "listbox",
    "menuitem",
    "option",
    "radio",
    "slider",
    "spinbutton",
    "splitter",
    "switch",
    "tab",
    "textbox",
];

/// Demands that everything a person can operate has a name in the accessibility tree.
pub fn names(page: &Session) -> Result<()> {
    page.call("Accessibility.enable", json!({}))?;
    let tree = page.call("Accessibility.getFullAXTree", json!({}))?;
    let nodes = tree["nodes"].as_array().cloned().unwrap_or_default();
    let operated = nodes.iter().filter(|node| {
        node["ignored"] != true
            && node["role"]["value"]
                .as_str()
                .is_some_and(|role| OPERATED.contains(&role))
    });
    let mut seen = 0;
    let mut nameless = Vec::new();
    for node in operated {
        seen += 1;
        if node["name"]["value"]
            .as_str()
            .is_none_or(|name| name.trim().is_empty())
        {
            nameless.push(node["role"]["value"].to_string());
        }
    }
    ensure!(seen > 0, "the accessibility tree holds nothing to operate");
    ensure!(nameless.is_empty(), "without a name: {}", nameless.join(", "));
    Ok(())
}

/// Demands that all text stands out from what is behind it.
pub fn contrast(page: &Session) -> Result<()> {
    none(page, "contrast")
}

/// Demands that the Tab key or, in lists and toolbars, arrow keys reach every control.
pub fn reachable(page: &Session) -> Result<()> {
    none(page, "unreachable")
}

/// Demands that nothing is cut off at the right.
pub fn fits(page: &Session) -> Result<()> {
    none(page, "overflow")
}

fn none(page: &Session, check: &str) -> Result<()> {
    let offenders = page.evaluate(&format!("{}.{check}()", include_str!("checks.js").trim_end()))?;
    let offenders: Vec<&str> = offenders
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    ensure!(
        offenders.is_empty(),
        "{check}, {} times:\n{}",
        offenders.len(),
        offenders.join("\n")
    );
    Ok(())
}
