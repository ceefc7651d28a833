//! What stands where the connection to the host was lost.

use sycamore::prelude::*;

use crate::cx::Connection;
use crate::features::machines::state::Machines;
use crate::kit::failure_view::failure_view;
use crate::kit::reactive::memo;

/// Why there is no host, and the way to look for it again.
#[component(inline_props)]
pub fn Lost(machines: Machines, reconnect: fn(Machines)) -> View {
    let lost = memo(move || match machines.cx.connection.get_clone() {
        Connection::Lost(failure) => Some(failure),
        Connection::Connecting | Connection::Connected => None,
    });
    view! {
        (lost.get_clone().map(|failure| {
            let again = view! {
                button(class="button small primary", r#type="button", data-testid="reconnect",
                    on:click=move |_| reconnect(machines)) {
                    "Reconnect"
                }
            };
            failure_view(failure, again)
        }))
    }
}
