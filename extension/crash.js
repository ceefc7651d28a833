// Notices that this page's WebAssembly has trapped: it panicked (then Rust has left the text in `qemuwebPanic`, see
// crates/runtime/src/web/panics.rs), or ran out of memory. What it was doing stays half done, and nothing in it can be used
// any more. `act` is called once, with what is known.
export function whenCrashed(act) {
  let crashed = false;
  const look = (error) => {
    if (error instanceof WebAssembly.RuntimeError && !crashed) {
      crashed = true;
      act(globalThis.qemuwebPanic ?? error.message);
    }
  };
  addEventListener("error", (event) => look(event.error));
  addEventListener("unhandledrejection", (event) => look(event.reason));
}
