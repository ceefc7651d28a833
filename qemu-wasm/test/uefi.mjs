// SPDX-License-Identifier: GPL-2.0-or-later
// UEFI: its shell comes up and answers, and a variable outlasts a reset, and the VM with the file that it is in.
//   node uefi.mjs [--quick] QEMU-OUTPUT [ARCH]...
// With --quick, the shell only comes up, on one machine of each architecture.
// Prints `N passed, M failed`.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { check, end, quits, test } from './report.mjs';
import { Vm } from './vm.mjs';

const { values: options, positionals: [output, ...archs] } = parseArgs({
  options: { quick: { type: 'boolean', default: false } }, allowPositionals: true,
});
const BOOT_MS = 300_000;
const VARIABLE = 'setvar Kept -guid 8f2a4b1c-0001-4000-8000-000000000001';
/** How the shell shows `stays` in UTF-16. */
const STAYS = '73 00 74 00 61 00 79 00 73 00';

const MACHINES = {
  'x86_64 q35': { arch: 'x86_64', machine: ['-M', 'q35'], format: 'raw', suffix: 'fd' },
  'x86_64 pc': { arch: 'x86_64', machine: ['-M', 'pc'], format: 'raw', suffix: 'fd' },
  'aarch64 virt': { arch: 'aarch64', machine: ['-M', 'virt', '-cpu', 'cortex-a57'], format: 'qcow2', suffix: 'qcow2' },
};

function firmware(arch, kind, suffix) {
  return gunzipSync(readFileSync(join(output, 'uefi', `${arch}-${kind}.${suffix}.gz`)));
}

async function start({ arch, machine, format, suffix }, variables) {
  const vm = await Vm.start({
    output, arch, heapMiB: 700, files: { '/vm/code': firmware(arch, 'code', suffix), '/vm/variables': variables },
    args: [...machine, '-nodefaults', '-no-user-config', '-display', 'none', '-m', '256',
      '-chardev', 'ring,id=qmp0', '-mon', 'chardev=qmp0,mode=control', '-chardev', 'ring,id=serial0', '-serial', 'chardev:serial0',
      '-drive', `if=pflash,unit=0,format=${format},readonly=on,file=/vm/code`, '-drive', `if=pflash,unit=1,format=${format},file=/vm/variables`],
  });
  const qmp = await vm.qmp();
  const serial = await vm.channel('serial0');
  return { vm, qmp, serial };
}

/** The firmware's shell, at its prompt. */
async function shell(serial) {
  await serial.expect('UEFI Interactive Shell', BOOT_MS);
  await serial.expect('Press ', 60_000);
  await serial.write('\x1b');
  await serial.expect('Shell> ', 60_000);
}

async function testMachine(name, machine) {
  let uefi;
  const started = await test(`${name}: the shell comes up`, async () => {
    uefi = await start(machine, firmware(machine.arch, 'vars', machine.suffix));
    await shell(uefi.serial);
  });
  if (!started) {
    console.log(uefi?.vm.log.join('\n'));
    return uefi?.vm.kill();
  }
  if (options.quick) {
    await test(`${name}: quit`, () => quits(uefi.vm, uefi.qmp));
    return;
  }
  await test(`${name}: a variable that is set outlasts a reset`, async () => {
    await uefi.serial.write(`${VARIABLE} -nv -bs =L"stays"\r`);
    await uefi.serial.expect('Shell> ', 60_000);
    await uefi.qmp('system_reset');
    await shell(uefi.serial);
    await uefi.serial.write(`${VARIABLE}\r`);
    await uefi.serial.expect(STAYS, 60_000);
  });
  const variables = uefi.vm.module.FS.readFile('/vm/variables');
  await test(`${name}: quit`, () => quits(uefi.vm, uefi.qmp));
  await test(`${name}: the next VM with the file of variables has it`, async () => {
    const next = await start(machine, variables);
    await shell(next.serial);
    await next.serial.write(`${VARIABLE}\r`);
    await next.serial.expect(STAYS, 60_000);
    await quits(next.vm, next.qmp);
  });
}

const tried = new Set();
for (const [name, machine] of Object.entries(MACHINES)) {
  if (options.quick && tried.has(machine.arch)) continue;
  tried.add(machine.arch);
  if (!archs.length || archs.includes(machine.arch)) await testMachine(name, machine);
}
end();
