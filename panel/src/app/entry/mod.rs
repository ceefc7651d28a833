//! The entry points that the pages call.

#[cfg(feature = "panel")]
pub mod panel;
#[cfg(feature = "popup")]
pub mod popup;

use qemuweb_wire::failure::Failure;
use sycamore::prelude::*;
use sycamore::web::document;
use wasm_bindgen::prelude::*;

/// Puts a view into the page's element `app`, in place of what stands there until the wasm is loaded.
fn mount<T: 'static>(make: impl FnOnce() -> (T, View)) -> Result<T, JsError> {
    qemuweb_wire::web::note_panics();
    let app = document()
        .get_element_by_id("app")
        .ok_or_else(|| JsError::new("expected an element with the id app"))?;
    let mut made = None;
    // The page's scope is never disposed.
    let _ = create_root(|| {
        app.set_inner_html("");
        sycamore::web::render_in_scope(
            || {
                let (state, view) = make();
                made = Some(state);
                view
            },
            &app,
        );
    });
    made.ok_or_else(|| JsError::new(&Failure::new("the page could not be made").to_string()))
}
