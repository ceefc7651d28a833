//! Converts a HAR file on standard input, without its secrets, to what a VM would get: `convert lines|packets|har`.

use std::error::Error;
use std::io::{self, Read, Write};

use qemuweb_capture::{Limits, PacketWriter, Redactor, har, jsonl};

fn main() -> Result<(), Box<dyn Error>> {
    let mut file = Vec::new();
    io::stdin().read_to_end(&mut file)?;
    let archive = har::read_archive(&file, &Limits::default())?;
    eprintln!("Requests that were read: {}.{archive}", archive.exchanges.len());
    let mut exchanges = archive.exchanges;
    let mut redactor = Redactor::default();
    exchanges
        .iter_mut()
        .for_each(|exchange| redactor.redact(exchange));
    let mut out = io::stdout().lock();
    match std::env::args().nth(1).as_deref() {
        Some("lines") => {
            for exchange in &exchanges {
                jsonl::write_exchange(&mut out, "example", exchange)?;
            }
        }
        Some("packets") => PacketWriter::write_file(&mut out, &exchanges)?,
        Some("har") => har::write_archive(&mut out, &exchanges)?,
        _ => return Err("expected lines, packets or har as the argument".into()),
    }
    Ok(out.flush()?)
}
