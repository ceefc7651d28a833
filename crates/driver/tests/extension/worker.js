// Creates the offscreen document when asked, and counts how often it was itself started.
console.log("service worker started");
chrome.runtime.onMessage.addListener((message, _sender, answer) => {
  if (message !== "offscreen") return false;
  chrome.offscreen
    .createDocument({ url: "offscreen.html", reasons: ["WORKERS"], justification: "test" })
    .then(() => answer("created"), (error) => answer(String(error)));
  return true;
});
