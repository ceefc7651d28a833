// Starts the VM host and hands it the clients' ports that the service worker brings.
// The logic is background/src/host.
import { whenCrashed } from "./crash.js";
import init, { Host, refuse_client } from "./wasm/background.js";

// A host that failed makes way for another one: with its document go the lock by which clients know it and the VMs' Workers.
// The next host tells why.
whenCrashed((cause) => {
  localStorage.setItem("host.failure", cause);
  window.close();
});

const host = init().then(() => Host.start());

navigator.serviceWorker.onmessage = (event) => {
  const [port] = event.ports;
  host.then(
    (host) => host.accept(port, event.data),
    (error) => refuse_client(port, error.message),
  );
};
