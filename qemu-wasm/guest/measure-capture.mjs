// SPDX-License-Identifier: GPL-2.0-or-later
// Measures page-capture in a built-in guest on our QEMU, in Node: how long each command takes, from the typed line to the prompt.
//   node measure-capture.mjs [QEMU-OUTPUT GUEST-OUTPUT [EXCHANGES]]      1,000 exchanges; what the cache has
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { Vm } from '../test/vm.mjs';

const GUEST = dirname(fileURLToPath(import.meta.url));
const made = (script) => execFileSync(join(GUEST, script), ['--print-output'], { encoding: 'utf8' }).trim().split('\n').pop();
const [qemu = made('../build.sh'), guest = made('build.sh'), count = '1000'] = process.argv.slice(2);

// As a page's: headers of some hundred bytes, bodies of 0.2 to 12 kB.
const headers = ['accept', 'user-agent', 'referer', 'content-type', 'date', 'etag', 'cache-control', 'vary']
  .map((name, i) => ({ name, value: 'value '.repeat(1 + (i * 7) % 12).trim() }));
const lines = Array.from({ length: Number(count) }, (_, i) => {
  const text = '{"name": "value", "list": [1, 2, 3]}\n'.repeat([5, 30, 100, 330][i % 4]);
  const http = { httpVersion: 'h2', headers };
  return JSON.stringify({
    v: 1, type: 'exchange', capture: 'c1', number: i + 1, startedDateTime: '2026-01-31T12:00:00Z', time: 12.5,
    request: { method: i % 10 ? 'GET' : 'POST', url: `https://site.test/path/${i + 1}?q=1`, ...http },
    response: { status: 200, statusText: '', ...http, body: { mimeType: 'application/json', size: text.length, text } },
    timings: { wait: 10 }, redacted: true,
  }) + '\n';
});

const vm = await Vm.start({
  output: qemu, arch: 'x86_64', heapMiB: 800,
  files: {
    '/kernel': gunzipSync(readFileSync(join(guest, 'x86_64/vmlinux.gz'))),
    '/initrd': gunzipSync(readFileSync(join(guest, 'x86_64/initramfs.cpio.gz'))),
  },
  args: ['-M', 'q35,sata=off,smbus=off,usb=off,hpet=off,vmport=off,i8042=off,smm=off', '-cpu', 'max', '-bios', 'qboot.rom',
    '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-m', '256',
    '-chardev', 'ring,id=serial0', '-serial', 'chardev:serial0', '-device', 'virtio-serial-pci',
    '-chardev', 'ring,id=capture0', '-device', 'virtserialport,chardev=capture0,name=org.qemuweb.capture.0',
    '-kernel', '/kernel', '-initrd', '/initrd', '-append',
    'console=ttyS0 quiet noreplace-smp no_timer_check tsc=reliable lapic_timer_khz=1000000 tsc_early_khz=1000000'],
});
const shell = await vm.channel('serial0');
await shell.expect('/ # ', 120_000);
const port = await vm.channel('capture0');
const sent = port.write(new TextEncoder().encode(lines.join('')));

for (const command of ['list | tail -1', 'list | tail -1', 'show 500 | head -1', 'body 500 | wc -c', 'curl 500 | wc -l',
  'annotate 500 here', 'flag 500', 'list method:POST | wc -l', 'save har /tmp/x.har', 'save pcap /tmp/x.pcapng', 'save dir /tmp/x', 'stop']) {
  const start = Date.now();
  const { status, lines: printed } = await shell.run(`page-capture ${command}`, 300_000);
  console.log(`${String(Date.now() - start).padStart(6)} ms  ${status}  page-capture ${command}: ${(printed.at(-1) ?? '').slice(0, 60)}`);
  await sent;
}
process.exit(0);
