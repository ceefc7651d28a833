// SPDX-License-Identifier: GPL-2.0-or-later
// Runs one of our QEMU outputs in Node and talks to its rings, as the extension's VM worker does in the browser.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

// Emscripten ends main() by throwing; where a thread's message has it do so, nobody stands there to catch it.
process.on('uncaughtException', (error) => {
  if (error?.name !== 'ExitStatus') throw error;
});

const RING_HEADER = 192;
const DIRECTORY_MAGIC = 0x49445751;
const RING_MAGIC = 0x47525751;

/** One direction of a channel; byte offsets as in include/qemu/wasm-host.h. */
class Ring {
  constructor(memory, address) {
    this.words = new Int32Array(memory.buffer, address, RING_HEADER / 4);
    if (this.words[0] !== RING_MAGIC) throw new Error(`no ring at ${address}`);
    this.capacity = this.words[1];
    this.data = new Uint8Array(memory.buffer, address + RING_HEADER, this.capacity);
  }

  get head() { return Atomics.load(this.words, 16) >>> 0; }
  get tail() { return Atomics.load(this.words, 32) >>> 0; }
  get used() { return (this.head - this.tail) >>> 0; }

  /** Appends what fits and returns how many bytes that was. */
  push(bytes) {
    const n = Math.min(bytes.length, this.capacity - this.used);
    const head = this.head;
    for (let i = 0; i < n; i++) this.data[(head + i) % this.capacity] = bytes[i];
    Atomics.store(this.words, 16, (head + n) | 0);
    Atomics.notify(this.words, 16);
    return n;
  }

  /** Takes up to `limit` bytes that are there. */
  take(limit = this.capacity) {
    const n = Math.min(this.used, limit);
    const tail = this.tail;
    const out = new Uint8Array(n);
    for (let i = 0; i < n; i++) out[i] = this.data[(tail + i) % this.capacity];
    Atomics.store(this.words, 32, (tail + n) | 0);
    Atomics.notify(this.words, 32);
    return out;
  }
}

/**
 * A promise for a change of `words[index]` away from `value`, at most `ms` long. A timer of our own ends it, too, so that a
 * wake-up that is lost, here or in Node, costs time only.
 */
async function changed(words, index, value, ms) {
  const { async, value: outcome } = Atomics.waitAsync(words, index, value | 0, ms);
  if (!async) return;
  let timer;
  await Promise.race([outcome, new Promise((resolve) => { timer = setTimeout(resolve, ms); })]);
  clearTimeout(timer);
}

/** What a guest prints, and a shell that it may have. Who extends it has `write(data)`, `read(ms)` and `ended`. */
export class Console {
  seen = '';

  /** Reads until `pattern` (a string or RegExp) has appeared; returns all text up to and with it. */
  async expect(pattern, ms = 60_000) {
    const deadline = Date.now() + ms;
    for (;;) {
      const found = typeof pattern === 'string'
        ? { index: this.seen.indexOf(pattern), 0: pattern }
        : this.seen.match(pattern) ?? { index: -1 };
      if (found.index >= 0) {
        const end = found.index + found[0].length;
        const text = this.seen.slice(0, end);
        this.seen = this.seen.slice(end);
        return text;
      }
      const left = deadline - Date.now();
      if (left <= 0 || this.ended) {
        throw new Error(`waited for ${pattern}; last seen: ${JSON.stringify(this.seen.slice(-600))}`);
      }
      this.seen += Buffer.from(await this.read(Math.min(left, 500))).toString('latin1');
    }
  }

  /** Runs a command in the guest's shell and returns its status and the lines that it printed. */
  async run(command, ms) {
    const mark = `done${Math.random().toString(36).slice(2)}`;
    // The mark is split, so that the echoed command line does not contain it.
    await this.write(`${command}; echo ${mark.slice(0, 6)}''${mark.slice(6)} $?\n`);
    const text = await this.expect(new RegExp(`${mark} (\\d+)\\r?\\n`), ms);
    const status = Number(text.match(/ (\d+)\r?\n$/)[1]);
    const lines = text.split('\n').slice(1, -2).map((line) => line.replace(/\r$/, ''));
    return { status, lines };
  }
}

class Channel extends Console {
  /** @param words its entry in the directory, behind the name */
  constructor(vm, words) {
    super();
    this.vm = vm;
    this.words = words;
    this.toGuest = new Ring(vm.memory, words[5]);
    this.fromGuest = new Ring(vm.memory, words[6]);
  }

  /** How often the guest's side was opened or closed. */
  get opened() { return this.words[3]; }

  get ended() { return this.vm.ended; }

  /** Writes all of a string or of bytes, waiting for room. */
  async write(data) {
    let bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
    while (bytes.length) {
      const tail = this.toGuest.tail;
      const n = this.toGuest.push(bytes);
      this.vm.wake();
      bytes = bytes.subarray(n);
      if (bytes.length && this.toGuest.used === this.toGuest.capacity) {
        await changed(this.toGuest.words, 32, tail, 1000);
      }
    }
  }

  /** Waits for some bytes from the guest; empty after `ms` without any. */
  async read(ms) {
    const head = this.fromGuest.head;
    if (!this.fromGuest.used) await changed(this.fromGuest.words, 16, head, ms);
    const bytes = this.fromGuest.take();
    if (bytes.length) this.vm.wake();
    return bytes;
  }
}

export class Vm {
  /**
   * @param output the output directory of qemu-wasm/build.sh
   * @param arch x86_64 or aarch64
   * @param heapMiB size of QEMU's memory, guest memory included
   * @param files { path: Uint8Array } laid into QEMU's file system
   * @param program the emulator's WebAssembly.Module, if it was compiled before
   */
  static async start({ output, arch, heapMiB = 512, args, files = {}, program }) {
    const vm = new Vm();
    const pages = heapMiB * 16;
    vm.memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    vm.log = [];
    vm.exited = new Promise((resolve) => { vm.onEnd = resolve; });
    const note = (line) => { vm.log.push(line); if (process.env.VERBOSE) console.error(line); };
    const { default: createQemu } = await import(pathToFileURL(join(output, `qemu-system-${arch}.js`)));
    const compiled = program && {
      instantiateWasm(imports, receive) {
        WebAssembly.instantiate(program, imports).then((instance) => receive(instance, program));
        return {};
      },
    };
    vm.module = await createQemu({
      ...compiled,
      wasmMemory: vm.memory,
      stdin: () => undefined,
      print: note,
      printErr: note,
      onExit: (code) => { vm.ended = true; vm.onEnd(code); },
      onAbort: (what) => { vm.ended = true; vm.onEnd(`aborted: ${what}`); },
    });
    vm.module.FS.mkdir('/pc-bios');
    vm.module.FS.mkdirTree('/var/tmp'); // overlays
    for (const name of readdirSync(join(output, 'pc-bios'), { recursive: true, withFileTypes: true })) {
      if (!name.isFile()) continue;
      const path = join(name.parentPath ?? name.path, name.name);
      const to = '/pc-bios' + path.slice(join(output, 'pc-bios').length);
      vm.module.FS.mkdirTree(to.slice(0, to.lastIndexOf('/')));
      vm.module.FS.writeFile(to, readFileSync(path));
    }
    for (const [path, bytes] of Object.entries(files)) {
      vm.module.FS.mkdirTree(path.slice(0, path.lastIndexOf('/')) || '/');
      vm.module.FS.writeFile(path, bytes);
    }
    vm.directory = Number(vm.module._qemuweb_directory());
    vm.words = new Int32Array(vm.memory.buffer, vm.directory, 4);
    if (vm.words[0] !== DIRECTORY_MAGIC || vm.words[1] !== 2) throw new Error('no directory of channels');
    vm.module.callMain(['-L', '/pc-bios', ...args]);
    return vm;
  }

  /** Tells QEMU that a ring was written to or read. */
  wake() {
    Atomics.add(this.words, 2, 1);
    Atomics.notify(this.words, 2);
  }

  /** The channel of that name, as soon as QEMU has made it. It is of the kind 1, bytes, or 2, a disk. */
  async channel(name, ms = 60_000, kind = 1) {
    const deadline = Date.now() + ms;
    for (;;) {
      const n = Atomics.load(this.words, 3);
      for (let i = 0; i < n; i++) {
        const entry = this.directory + 64 + i * 128;
        const text = Buffer.from(new Uint8Array(this.memory.buffer, entry, 56).slice());
        if (text.toString('latin1').replace(/\0.*$/s, '') === name) {
          const words = new Uint32Array(this.memory.buffer, entry + 56, 18);
          if (words[0] !== kind || words[1] !== 1) throw new Error(`${name} is no channel of kind ${kind}`);
          return new Channel(this, words);
        }
      }
      if (this.ended || Date.now() > deadline) throw new Error(`no channel ${name}; QEMU said: ${this.log.join('\n')}`);
      await changed(this.words, 3, n, 500);
    }
  }

  /** Opens the QMP channel, reads the greeting and leaves negotiation mode. Returns a function that runs a command. */
  async qmp(name = 'qmp0') {
    const channel = await this.channel(name);
    this.greeting = JSON.parse(await channel.expect(/\{"QMP".*\}\r?\n/));
    let id = 0;
    const execute = async (command, args, ms) => {
      id += 1;
      await channel.write(JSON.stringify({ execute: command, arguments: args, id }) + '\n');
      for (;;) {
        const answer = JSON.parse((await channel.expect(/\{.*\}\r?\n/, ms)).match(/\{.*\}/)[0]);
        if (answer.id !== id) continue;
        if (answer.error) throw new Error(`${command}: ${answer.error.desc}`);
        return answer.return;
      }
    };
    await execute('qmp_capabilities');
    return execute;
  }

  /** Kills all threads; for a VM that does not quit by itself. */
  kill() {
    this.ended = true;
    this.module.PThread?.terminateAllThreads();
  }
}

/** Share of one core that this process burns during `ms`, all threads. */
export async function cpuShare(ms) {
  const before = process.cpuUsage();
  const start = performance.now();
  await new Promise((resolve) => { setTimeout(resolve, ms); });
  const used = process.cpuUsage(before);
  return (used.user + used.system) / 1000 / (performance.now() - start);
}
