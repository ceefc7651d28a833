//! How a failure looks, wherever it stands: what failed, what to do next, and why on demand. Copyable.

use qemuweb_runtime::failure::Failure;
use sycamore::prelude::*;

use super::browser::copy;
use super::icons::{self, icon};

/// A failure. `actions` are buttons beside "Copy".
pub fn failure_view(failure: Failure, actions: View) -> View {
    let text = failure.to_string();
    let Failure {
        message,
        causes,
        next_step,
    } = failure;
    let next_step = next_step.map(|next_step| view! { p(class="next-step") { (next_step) } });
    let causes = (!causes.is_empty()).then(|| {
        let items: Vec<View> = causes.into_iter().map(|cause| view! { li { (cause) } }).collect();
        view! { details { summary { "Why" } ol(class="causes") { (items) } } }
    });
    view! {
        div(class="failure", role="alert", data-testid="error") {
            (icon(icons::WARNING))
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
            causes: vec!["no <such> file".into()],
            ..Failure::new("could not load the kernel")
        }
        .with_next_step("Choose another file.");
        let html = render_to_string(move || failure_view(failure, View::new()));
        for part in [
            "role=\"alert\"",
            "could not load the kernel",
            "no &lt;such&gt; file",
            "Choose another file.",
            "Why",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        let html = render_to_string(|| failure_view(Failure::new("x"), View::new()));
        assert!(!html.contains("details"), "{html}");
    }
}
