// The broker's listeners. They must be registered in the service worker's first turn, before its
// WebAssembly is there; each waits for it and hands its event on. The logic is background/src/broker.rs.
import init, { broker_connect, broker_message } from "./wasm/background.js";

const ready = init();

self.addEventListener("message", (event) => {
  event.waitUntil(ready.then(() => broker_connect(event.data, event.ports)));
});

chrome.runtime.onMessage.addListener((message) => {
  ready.then(() => broker_message(message));
});
