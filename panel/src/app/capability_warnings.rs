//! What the browser lacks, what that means, and what to do about it.

use qemuweb_wire::capabilities::MissingCapability;
use sycamore::prelude::*;

use crate::cx::Cx;
use crate::kit::buttons::dismiss;
use crate::kit::icons::{self, icon};
use crate::kit::reactive::{Dynamic, Once, memo};

/// Warnings that were put away last as long as the page.
#[component(inline_props)]
pub fn CapabilityWarnings(cx: Cx) -> View {
    let hidden = create_signal(false);
    let missing = memo(move || {
        cx.capabilities
            .with(|capabilities| capabilities.as_ref().map(|it| it.missing()).unwrap_or_default())
    });
    view! {
        (Dynamic { of: move || match (hidden.get(), missing.get_clone()) {
            (true, _) => View::new(),
            (false, missing) if missing.is_empty() => View::new(),
            (false, missing) => {
                let is_fatal = missing.iter().any(|missing| missing.fatal);
                let items: Vec<View> = missing.into_iter().map(warning).collect();
                let hide = if is_fatal {
                    View::new()
                } else {
                    dismiss("Hide what the browser lacks", move |_| hidden.set(true))
                };
                view! {
                    section(class="capabilities", aria-label="What this browser lacks") {
                        ul { (items) }
                        (hide)
                    }
                }
            }
        } })
    }
}

fn warning(missing: MissingCapability) -> View {
    let MissingCapability { name, fatal, advice } = missing;
    let (class, role) = if fatal {
        ("capability fatal", "alert")
    } else {
        ("capability", "note")
    };
    let consequence = if fatal {
        " is missing: no VM can run. "
    } else {
        " is missing. "
    };
    view! {
        li(class=class, role=role, data-testid="capability-warning") {
            (Once { of: move || icon(icons::WARNING) })
            p { b { (name) } (consequence) (advice) }
        }
    }
}

#[cfg(test)]
mod tests {
    use sycamore::web::render_to_string;

    use super::*;

    #[test]
    fn what_is_fatal_is_an_alert() {
        let missing = |fatal| MissingCapability {
            name: "WebGPU".into(),
            fatal,
            advice: "Do this.".into(),
        };
        let html = render_to_string(move || warning(missing(true)));
        assert!(
            html.contains("role=\"alert\"") && html.contains("no VM can run") && html.contains("Do this.")
        );
        assert!(!render_to_string(move || warning(missing(false))).contains("alert"));
    }
}
