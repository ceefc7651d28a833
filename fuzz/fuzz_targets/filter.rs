//! The text of the filter box.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qemuweb_capture::{Exchange, Filter};

fuzz_target!(|text: &str| {
    if let Ok(filter) = text.parse::<Filter>() {
        filter.matches(&Exchange::default());
    }
});
