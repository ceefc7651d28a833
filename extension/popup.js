// Loads the popup's WebAssembly once the static page has been painted. The popup is panel/src/app/popup.rs.
import { whenCrashed } from "./crash.js";
import { showCrash, showLoadFailure } from "./failure.js";

whenCrashed(showCrash);

await new Promise((painted) => requestAnimationFrame(() => setTimeout(painted)));
try {
  const { default: init, start_popup } = await import("./wasm/popup.js");
  await init();
  // A failure to connect is shown by the popup itself.
  start_popup().catch(() => {});
} catch (error) {
  showLoadFailure(error);
}
