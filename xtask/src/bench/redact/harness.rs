//! The two builds of redaction in one program: `prepare_*` makes a site's traffic, untimed; `run_*` takes its secrets
//! out and gives how many bytes it had. Natively, `main` times them; as WebAssembly, the script beside does.

use std::cell::RefCell;

mod traffic;

macro_rules! build {
    ($library:ident, $prepare:ident, $run:ident) => {
        #[unsafe(no_mangle)]
        pub extern "C" fn $prepare() {
            use $library::{Body, Exchange, Header};
            let exchanges = traffic::exchanges().into_iter().map(|part| {
                let mut exchange = Exchange::default();
                exchange.request.url = part.url;
                exchange.request.headers = part
                    .sent
                    .into_iter()
                    .map(|(name, value)| Header { name, value })
                    .collect();
                exchange.response.headers = part
                    .received
                    .into_iter()
                    .map(|(name, value)| Header { name, value })
                    .collect();
                exchange.request.body = part
                    .form
                    .map(|form| Body::new("application/x-www-form-urlencoded", form));
                exchange.response.body = Some(Body::new(part.mime_type, part.body));
                exchange
            });
            $library::STATE.with_borrow_mut(|state| *state = exchanges.collect());
        }

        #[unsafe(no_mangle)]
        pub extern "C" fn $run() -> f64 {
            $library::STATE.with_borrow_mut(|exchanges| {
                let bytes: usize = exchanges.iter().map(|exchange| exchange.footprint()).sum();
                let mut redactor = $library::Redactor::default();
                exchanges
                    .iter_mut()
                    .for_each(|exchange| redactor.redact(exchange));
                assert!(exchanges.iter().all(|exchange| exchange.redacted));
                bytes as f64
            })
        }
    };
}

mod ours {
    pub(super) use ours_capture::*;
    thread_local!(pub(super) static STATE: super::RefCell<Vec<Exchange>> = const { super::RefCell::new(Vec::new()) });
}

mod reference {
    pub(super) use reference_capture::*;
    thread_local!(pub(super) static STATE: super::RefCell<Vec<Exchange>> = const { super::RefCell::new(Vec::new()) });
}

build!(ours, prepare_ours, run_ours);
build!(reference, prepare_reference, run_reference);

/// Prints a line for each round: nanoseconds per byte of ours and of the reference.
pub fn main() {
    let rounds: usize = std::env::args()
        .nth(1)
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(9);
    let time = |prepare: extern "C" fn(), run: extern "C" fn() -> f64| {
        prepare();
        let start = std::time::Instant::now();
        let bytes = run();
        start.elapsed().as_secs_f64() * 1e9 / bytes
    };
    for round in 0..rounds {
        // Which comes first changes, as a processor's clock does.
        let (ours, reference) = if round % 2 == 0 {
            let ours = time(prepare_ours, run_ours);
            (ours, time(prepare_reference, run_reference))
        } else {
            let reference = time(prepare_reference, run_reference);
            (time(prepare_ours, run_ours), reference)
        };
        println!("{ours} {reference}");
    }
}
