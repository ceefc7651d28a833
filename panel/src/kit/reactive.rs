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

/// A part of a view that changes: `(Dynamic { of: move || … })`, which draws as `(…)` does. [`view!`] takes a struct of a closure
/// as it is; what is not written as one it compiles for each place.
pub struct Dynamic<F> {
    /// Makes the part, anew whenever what it depends on changes.
    pub of: F,
}

impl<F: FnMut() -> View + 'static> From<Dynamic<F>> for View {
    fn from(part: Dynamic<F>) -> Self {
        fn boxed(part: Box<dyn FnMut() -> View>) -> View {
            View::from_dynamic(part)
        }
        boxed(Box::new(part.of))
    }
}

/// A part of a view that is made once: `(Once { of: || icon(…) })`. A call by itself would be drawn as if it could change, with an
/// effect and two marks around it.
pub struct Once<F> {
    /// Makes the part.
    pub of: F,
}

impl<F: FnOnce() -> View> From<Once<F>> for View {
    fn from(part: Once<F>) -> Self {
        (part.of)()
    }
}
