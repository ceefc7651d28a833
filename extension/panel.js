// Loads xterm.js and the panel's WebAssembly. The panel is panel/src/app/panel.rs, the client API panel/src/app/js_api.rs.
import { whenCrashed } from "./crash.js";
import { showCrash, showLoadFailure } from "./failure.js";

whenCrashed(showCrash);

async function load() {
  const [xterm, fit, search, webgl, panel] = await Promise.all([
    import("./vendor/xterm/xterm.mjs"),
    import("./vendor/xterm/addon-fit.mjs"),
    import("./vendor/xterm/addon-search.mjs"),
    import("./vendor/xterm/addon-webgl.mjs"),
    import("./wasm/panel.js"),
  ]);
  // Where panel/src/features/console/xterm.rs looks for them.
  globalThis.xterm = { ...xterm, ...fit, ...search, ...webgl };
  await panel.default();
  return panel.start_panel;
}

// For pages and tests that drive the panel: the API once connected, and the text of a VM's terminal.
window.qemuwebReady = load()
  .catch((error) => {
    showLoadFailure(error);
    throw error;
  })
  .then((startPanel) => startPanel())
  .then((client) => (window.qemuweb = client));
window.qemuwebConsoleText = (vmId) => window.qemuweb?.consoleText(vmId) ?? null;
// The panel shows why; nobody else need listen.
window.qemuwebReady.catch(() => {});
