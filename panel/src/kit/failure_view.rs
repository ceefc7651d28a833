//! How a failure looks, wherever it stands: what failed, what to do next, and why on demand. Copyable.

use qemuweb_wire::failure::Failure;
use sycamore::prelude::*;

use super::browser::copy;
use super::icons::{self, icon};
use super::reactive::Once;

/// The one line that tells a failure: what failed, and the first cause, which says more than that QEMU ended.
pub fn headline(failure: &Failure) -> String {
    let message = failure.message.trim_end_matches('.');
    match failure.causes.first().map(|cause| cause.trim()) {
        Some(cause) if !cause.is_empty() && !message.contains(cause) => format!("{message}: {cause}"),
        _ => failure.message.clone(),
    }
}

/// A failure. `actions` are buttons beside "Copy".
pub fn failure_view(failure: Failure, actions: View) -> View {
    let text = failure.to_string();
    let message = headline(&failure);
    let Failure {
        causes, next_step, ..
    } = failure;
    // The first one is told already; it comes once more if there are others, to be read in order.
    let causes = if causes.len() > 1 { causes } else { Vec::new() };
    let next_step = next_step.map(|next_step| view! { p(class="next-step") { (next_step) } });
    let causes = (!causes.is_empty()).then(|| {
        let items: Vec<View> = causes.into_iter().map(|cause| view! { li { (cause) } }).collect();
        view! { details { summary { "Why" } ol(class="causes") { (items) } } }
    });
    view! {
        div(class="failure", role="alert", data-testid="error") {
            (Once { of: move || icon(icons::WARNING) })
            div(class="failure-text") {
                p(class="failure-message") { (message) }
                (next_step)
                (causes)
            }
            div(class="failure-actions") {
                (actions)
                button(class="button small", r#type="button", on:click=move |_| copy(text.clone())) { "Copy" }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sycamore::web::render_to_string;

    use super::*;

    #[test]
    fn shows_message_causes_and_next_step() {
        let failure = Failure {
            causes: vec!["no <such> file".into(), "it was deleted".into()],
            ..Failure::new("could not load the kernel")
        }
        .with_next_step("Choose another file.");
        let html = render_to_string(move || failure_view(failure, View::new()));
        for part in [
            "role=\"alert\"",
            "could not load the kernel: no &lt;such&gt; file",
            "it was deleted",
            "Choose another file.",
            "Why",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        let html = render_to_string(|| failure_view(Failure::new("x"), View::new()));
        assert!(!html.contains("details"), "{html}");
    }

    #[test]
    fn headlines_name_the_first_cause_once() {
        for (message, causes, line) in [
            (
                "QEMU exited with status 1",
                &["-x: invalid option"][..],
                "QEMU exited with status 1: -x: invalid option",
            ),
            ("it failed.", &["disk full", "x"], "it failed: disk full"),
            ("it failed: disk full", &["disk full"], "it failed: disk full"),
            ("it failed.", &[], "it failed."),
            ("it failed.", &[" "], "it failed."),
        ] {
            let failure = Failure {
                causes: causes.iter().map(ToString::to_string).collect(),
                ..Failure::new(message)
            };
            assert_eq!(headline(&failure), line);
        }
    }
}
