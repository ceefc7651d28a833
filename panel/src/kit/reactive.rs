//! Sycamore's memos and effects, compiled once per type instead of once per closure: a page's WebAssembly has hundreds of them.

use sycamore::prelude::*;

/// [`create_selector`]: what `compute` comes to, told when it differs.
pub fn memo<T: PartialEq + 'static>(compute: impl FnMut() -> T + 'static) -> ReadSignal<T> {
    fn boxed<T: PartialEq + 'static>(compute: Box<dyn FnMut() -> T>) -> ReadSignal<T> {
        create_selector(compute)
    }
    boxed(Box::new(compute))
}

/// [`create_effect`].
pub fn effect(act: impl FnMut() + 'static) {
    fn boxed(act: Box<dyn FnMut()>) {
        create_effect(act);
    }
    boxed(Box::new(act));
}

/// [`sycamore::web::create_client_effect`]: an effect where there is a document.
pub fn client_effect(act: impl FnMut() + 'static) {
    if is_not_ssr!() {
        effect(act);
    }
}
