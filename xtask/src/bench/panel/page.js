// Put into a page of the extension before its own scripts run: tells in `bench` when it was painted as one waits for it.
globalThis.bench = {
  // Milliseconds from the start of the navigation to the first frame that shows what `shows` looks for.
  until(shows) {
    return new Promise((resolve) => {
      const look = () => {
        if (!shows()) return requestAnimationFrame(look);
        // The frame after the next one's start has been painted.
        requestAnimationFrame(() => setTimeout(() => resolve(performance.now())));
      };
      look();
    });
  },

  // Milliseconds to the first frame with any content.
  async paint() {
    for (;;) {
      const first = performance.getEntriesByName("first-contentful-paint")[0];
      if (first) return first.startTime;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  },

  // The element that scrolls furthest, if one scrolls far.
  longest() {
    const scrolls = (element) => ["auto", "scroll"].includes(getComputedStyle(element).overflowY);
    const all = [...document.querySelectorAll("body *")].filter((e) => e.scrollHeight > 100000 && scrolls(e));
    return all.sort((a, b) => b.scrollHeight - a.scrollHeight)[0];
  },

  // Scrolls it to `steps` places, a frame each, and counts in how many of them it showed rows that the former did not.
  async scroll(steps) {
    const list = this.longest();
    const frame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
    let [fresh, shown] = [0, ""];
    for (let step = 1; step <= steps; step++) {
      list.scrollTop = (list.scrollHeight - list.clientHeight) * (step / steps);
      await frame();
      await frame();
      const text = list.innerText.trim();
      if (text && text !== shown) fresh++;
      shown = text;
    }
    return fresh;
  },

  // Makes `count` VMs of the one with the id `from` in the extension's database, whatever its records look like: each that
  // speaks of the id is copied, with another one.
  async multiply(from, count) {
    const done = (request) =>
      new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
    const renamed = (value, id) => {
      if (typeof value === "string") return value.replaceAll(from, id);
      if (Array.isArray(value)) return value.map((each) => renamed(each, id));
      if (value?.constructor !== Object) return value;
      return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, renamed(each, id)]));
    };
    for (const { name } of await indexedDB.databases()) {
      const database = await done(indexedDB.open(name));
      for (const storeName of database.objectStoreNames) {
        const store = database.transaction(storeName, "readwrite").objectStore(storeName);
        const [keys, values] = await Promise.all([done(store.getAllKeys()), done(store.getAll())]);
        for (const [at, value] of values.entries()) {
          const texts = JSON.stringify([keys[at], value]);
          if (!texts.includes(from)) continue;
          for (let n = 1; n < count; n++) {
            const id = `${from}-${n}`;
            const key = store.keyPath === null ? [renamed(keys[at], id)] : [];
            await done(store.put(renamed(value, id), ...key));
          }
        }
      }
      database.close();
    }
  },
};
