// What a page shows when its Rust part cannot say it: its scripts or WebAssembly cannot be loaded, or have failed.
export function showLoadFailure(error) {
  const message = document.createElement("p");
  message.setAttribute("role", "alert");
  message.dataset.testid = "error";
  message.className = "load-failure";
  message.textContent = `QemuWeb could not be loaded: ${error?.message ?? error}. Reload the extension; if that does not help, build it again.`;
  document.getElementById("app").replaceChildren(message);
}

// Covers the page, in which nothing answers any more.
export function showCrash(cause) {
  document.querySelectorAll("dialog[open]").forEach((dialog) => dialog.close());
  document.getElementById("app").inert = true;
  const make = (tag, className, ...content) => {
    const element = document.createElement(tag);
    element.className = className;
    element.append(...content);
    return element;
  };
  const reload = make("button", "button primary", "Reload");
  reload.type = "button";
  reload.dataset.testid = "reload";
  reload.onclick = () => location.reload();
  const text = make(
    "div",
    "failure-text",
    make("p", "failure-message", "This page of QemuWeb has failed and does nothing any more."),
    make("p", "next-step", "Reload it. Virtual machines run on meanwhile."),
    make("details", "", make("summary", "", "Why"), make("pre", "", cause)),
  );
  const notice = make("div", "failure crash", text, make("div", "failure-actions", reload));
  notice.setAttribute("role", "alert");
  notice.dataset.testid = "error";
  document.body.append(notice);
  reload.focus();
}
