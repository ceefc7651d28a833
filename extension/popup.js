// Loads the popup's WebAssembly once the static page has been painted. The popup is panel/src/popup.rs.
import { showLoadFailure } from "./load-failure.js";

await new Promise((painted) => requestAnimationFrame(() => setTimeout(painted)));
try {
  const { default: init, start_popup } = await import("./wasm/panel.js");
  await init();
  // A failure to connect is shown by the popup itself.
  start_popup().catch(() => {});
} catch (error) {
  showLoadFailure(error);
}
