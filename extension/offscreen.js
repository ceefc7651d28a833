// Starts the VM host and hands it the clients' ports that the service worker brings.
// The logic is background/src/host.
import init, { Host } from "./wasm/background.js";

const host = init().then(() => Host.start());

navigator.serviceWorker.onmessage = (event) => {
  const [port] = event.ports;
  host.then((host) => host.accept(port, event.data));
};
