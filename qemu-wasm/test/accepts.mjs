// SPDX-License-Identifier: GPL-2.0-or-later
// Tells whether our QEMU takes arguments: whatever our device lists lack fails here, which native QEMU has.
//   node accepts.mjs QEMU-OUTPUT
// Reads a machine as JSON from each line of standard input: `arch`, `args` (QEMU's, with a QMP monitor on the ring `qmp`, by default qmp0),
// `heapMiB`, and `files` by their paths in QEMU's file system: a size in bytes (zeros), or the path of a file here. Starts it with its
// processors stopped (`-S`), greets it, and quits. Writes `{"accepted": BOOLEAN, "said": [LINE...]}` for each.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { quits } from './report.mjs';
import { Vm } from './vm.mjs';

const [output] = process.argv.slice(2);

async function accepted({ arch, args, heapMiB = 700, files = {}, qmp = 'qmp0' }) {
  const contents = Object.entries(files).map(([path, file]) => [path, typeof file === 'number' ? new Uint8Array(file) : readFileSync(file)]);
  const vm = await Vm.start({ output, arch, heapMiB, args: [...args, '-S'], files: Object.fromEntries(contents) });
  try {
    await quits(vm, await vm.qmp(qmp));
    return { accepted: true, said: vm.log };
  } catch (error) {
    vm.kill();
    return { accepted: false, said: vm.log.length ? vm.log : [String(error)] };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await accepted(JSON.parse(line))));
}
process.exit(0);
