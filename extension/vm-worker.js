// The Worker of one VM: loads QEMU as the host tells it to. The logic is background/src/vm_worker.
import init, { start_vm_worker } from "./wasm/background.js";

await init();
start_vm_worker((url) => import(url));
