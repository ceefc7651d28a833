chrome.devtools.panels.create("Probe", "", "panel.html");
