// What a page shows when its scripts or WebAssembly cannot be loaded, so that the Rust part cannot say it.
export function showLoadFailure(error) {
  const message = document.createElement("p");
  message.setAttribute("role", "alert");
  message.dataset.testid = "error";
  message.className = "load-failure";
  message.textContent = `QemuWeb could not be loaded: ${error?.message ?? error}. Reload the extension; if that does not help, build it again.`;
  document.getElementById("app").replaceChildren(message);
}
