//! What a guest writes to the capture's port.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qemuweb_capture::annotation::Annotations;

fuzz_target!(|pieces: Vec<Vec<u8>>| {
    let mut annotations = Annotations::default();
    for piece in &pieces {
        annotations.push(piece);
    }
});
