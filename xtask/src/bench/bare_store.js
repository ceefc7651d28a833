// Measures the browser's store as `crates/storage` uses it, without QEMU and without us: an expression for a page of the
// extension, a function of how many MiB to write and for how many seconds to put small values.
async (mib, seconds) => {
  const NAME = "qemuweb-bench";
  const over = (request) =>
    new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  const opening = indexedDB.open(NAME, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore("blocks", { keyPath: "key" });
  const database = await over(opening);
  const put = (records) =>
    new Promise((resolve, reject) => {
      const transaction = database.transaction("blocks", "readwrite", { durability: "strict" });
      const store = transaction.objectStore("blocks");
      for (const record of records) store.put(record);
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error);
    });
  const bytes = (size) => {
    const data = new Uint8Array(size);
    for (let at = 0; at < size; at += 65536) {
      crypto.getRandomValues(data.subarray(at, Math.min(size, at + 65536)));
    }
    return data;
  };

  const BLOCK = 256 << 10;
  const AT_ONCE = 32;
  const block = bytes(BLOCK);
  const blocks = (mib << 20) / BLOCK;
  let start = performance.now();
  for (let first = 0; first < blocks; first += AT_ONCE) {
    const count = Math.min(AT_ONCE, blocks - first);
    await put(Array.from({ length: count }, (_, i) => ({ key: `block:${first + i}`, data: block })));
  }
  const sequential = ((blocks * BLOCK) / 1e3) / (performance.now() - start);

  const page = bytes(4096);
  const times = [];
  start = performance.now();
  for (let n = 0; performance.now() - start < seconds * 1000; n++) {
    const before = performance.now();
    await put([{ key: `page:${n}`, data: page }]);
    times.push((performance.now() - before) * 1000);
  }
  times.sort((a, b) => a - b);
  const nth = (share) => times[Math.floor((times.length - 1) * share)];
  database.close();
  await over(indexedDB.deleteDatabase(NAME));
  return { mbPerSecond: sequential, median: nth(0.5), p99: nth(0.99) };
}
