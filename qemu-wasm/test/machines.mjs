// SPDX-License-Identifier: GPL-2.0-or-later
// Starts machines, with their processors stopped, one after another: machines.mjs OUTPUT ARCH, with standard input
// { files: { name: [byte] }, machines: [{ name, commandLine, args, mounts: { path: file or firmware },
// disks: { channel: file }, heapMiB }] }.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Disk } from './disk.mjs';
import { Vm } from './vm.mjs';

const [output, arch] = process.argv.slice(2);
const { files, machines } = JSON.parse(readFileSync(0, 'utf8'));
// Compiled once for all.
const program = await WebAssembly.compile(readFileSync(join(output, `qemu-system-${arch}.wasm`)));

/** The bytes of a file of ours, or of firmware of QEMU's build. */
function content(name) {
  if (name in files) return Uint8Array.from(files[name]);
  const path = join(output, name);
  if (existsSync(path)) return name.endsWith('.gz') ? gunzipSync(readFileSync(path)) : readFileSync(path);
  throw new Error(`the build has no ${name}`);
}

async function start({ args, mounts, disks, heapMiB }) {
  const mounted = Object.entries(mounts).map(([path, name]) => [path, content(name)]);
  const vm = await Vm.start({
    output, arch, program, heapMiB, args: [...args, '-S'], files: { '/var/tmp/.keep': new Uint8Array(), ...Object.fromEntries(mounted) },
  });
  try {
    for (const [channel, name] of Object.entries(disks)) {
      new Disk(Buffer.from(content(name))).serve(vm, channel).catch((error) => vm.log.push(`${channel}: ${error.message}`));
    }
    const qmp = await vm.qmp();
    const { status } = await qmp('query-status');
    if (status !== 'prelaunch') throw new Error(`its status is ${status}`);
    await qmp('quit');
    const code = await vm.exited;
    if (code !== 0) throw new Error(`it ended with ${code}`);
  } catch (error) {
    throw new Error(`${error.message}\n${vm.log.join('\n')}`);
  } finally {
    vm.kill();
  }
}

let failed = 0;
for (const machine of machines) {
  const since = performance.now();
  try {
    await start(machine);
    console.log(`ok    ${((performance.now() - since) / 1000).toFixed(1)} s: ${machine.name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${machine.name}: ${error.message}\n${machine.commandLine}`);
  }
}
process.exit(failed ? 1 : 0);
