//! A line of a capture, as the host gets it from a client.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qemuweb_capture::jsonl::{self, Line};

fuzz_target!(|data: &[u8]| {
    if let Ok(Line::Exchange { capture, exchange }) = jsonl::read(data) {
        let mut line = Vec::new();
        jsonl::write_exchange(&mut line, &capture, &exchange).expect("memory takes all");
        jsonl::read(&line).expect("we read what we write");
    }
});
