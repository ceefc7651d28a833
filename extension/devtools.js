// Adds the panel to DevTools.
chrome.devtools.panels.create("QemuWeb", "icons/icon-16.png", "panel.html");
