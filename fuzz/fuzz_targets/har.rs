//! A HAR file of anybody, through redaction and every writer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qemuweb_capture::{Limits, PacketWriter, Redactor, curl_command, fetch_call, har, jsonl};

fuzz_target!(|data: &[u8]| {
    let Ok(mut archive) = har::read_archive(data, &Limits::default()) else {
        return;
    };
    let mut redactor = Redactor::default();
    let mut out = Vec::new();
    for exchange in &mut archive.exchanges {
        redactor.redact(exchange);
        jsonl::write_exchange(&mut out, "fuzz", exchange).expect("memory takes all");
        assert!(!curl_command(exchange).contains(jsonl::is_control));
        assert!(!fetch_call(exchange).contains(jsonl::is_control));
    }
    out.clear();
    PacketWriter::write_file(&mut out, &archive.exchanges).expect("memory takes all");
    out.clear();
    har::write_archive(&mut out, &archive.exchanges).expect("memory takes all");
    let again = har::read_archive(&out, &Limits::default()).expect("we read what we write");
    assert_eq!(again.exchanges.len(), archive.exchanges.len());
});
