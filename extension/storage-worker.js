// The storage Worker of one run of a VM: serves its disks. The logic is background/src/storage_worker.
import init, { start_storage_worker } from "./wasm/background.js";

await init();
start_storage_worker();
