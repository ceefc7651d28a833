// SPDX-License-Identifier: GPL-2.0-or-later
// The block driver "ring", in Node: disks that this test serves from buffers, over the channels that QEMU makes.
//   node block-ring.mjs QEMU-OUTPUT [GUEST-OUTPUT] [ARCH]...
// Without a guest's output ('-'), the block layer alone. Prints `N passed, M failed`.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Disk } from './disk.mjs';
import { check, end, quits, sleep, test } from './report.mjs';
import { Vm } from './vm.mjs';

const [output, guest, ...archs] = process.argv.slice(2);
const BOOT_MS = 240_000;
const EIO = -5;
const ENOSPC = -28;

const MACHINES = {
  x86_64: { machine: ['-M', 'q35', '-cpu', 'max'], kernel: 'vmlinux.gz', console: 'ttyS0' },
  aarch64: { machine: ['-M', 'virt', '-cpu', 'cortex-a57'], kernel: 'Image.gz', console: 'ttyAMA0' },
};
const COMMON = ['-nodefaults', '-display', 'none', '-no-user-config', '-m', '128',
  '-chardev', 'ring,id=qmp0', '-mon', 'chardev=qmp0,mode=control'];

/** Starts QEMU with `disks` by name, each served over a channel of that name. */
async function start(arch, disks, args, options = {}) {
  const vm = await Vm.start({ output, arch, heapMiB: 700, args: [...MACHINES[arch].machine, ...COMMON, ...args], ...options });
  for (const [name, disk] of Object.entries(disks)) {
    disk.serve(vm, name).catch((error) => { disk.broken = error; });
  }
  return { vm, qmp: await vm.qmp() };
}

/** The block layer without a guest, by qemu-io in the monitor. */
async function testPaused(arch) {
  const bytes = randomBytes(8 << 20);
  const disk = new Disk(Buffer.from(bytes));
  const image = new Disk(randomBytes(1 << 20), { readonly: true });
  let vm, qmp;
  const started = await test(`${arch}: QEMU opens disks over their channels`, async () => {
    ({ vm, qmp } = await start(arch, { disk0: disk, image0: image }, ['-S',
      '-drive', 'if=none,id=disk,format=raw,file=ring:disk0,discard=unmap,detect-zeroes=off',
      '-drive', 'if=none,id=image,format=raw,file.driver=ring,file.channel=image0,read-only=on']));
    const block = await qmp('query-block');
    const sizes = Object.fromEntries(block.map((one) => [one.device, one.inserted.image['virtual-size']]));
    check(sizes.disk === 8 << 20 && sizes.image === 1 << 20, JSON.stringify(sizes));
  });
  if (!started) {
    console.log(vm?.log.join('\n'));
    return vm?.kill();
  }
  const io = async (command, drive = 'disk') => {
    const said = vm.log.length;
    const answer = await qmp('human-monitor-command', { 'command-line': `qemu-io ${drive} "${command}"` }, 60_000);
    return answer + vm.log.slice(said).join('\n');
  };

  await test(`${arch}: reads and writes are of the right bytes`, async () => {
    check(/1048576\/1048576/.test(await io('write -P 0x5a 65536 1M')), vm.log.join('\n'));
    bytes.fill(0x5a, 65_536, 65_536 + (1 << 20));
    check(disk.bytes.equals(bytes), 'the disk has other bytes');
    check(/1048576\/1048576/.test(await io('read -P 0x5a 65536 1M')), vm.log.join('\n'));
    // Not of whole sectors: what is around them is read and kept.
    await io('write -P 0x11 700 100');
    bytes.fill(0x11, 700, 800);
    check(disk.bytes.equals(bytes), 'what is around them is not kept');
  });

  await test(`${arch}: flush, FUA, discard and zeroes reach the disk`, async () => {
    const { flush, discard, zeroes } = disk.count;
    await io('flush');
    await io('write -f -P 1 0 4k');
    await io('discard 1M 1M');
    await io('write -z -u 3M 64k');
    bytes.fill(1, 0, 4096);
    bytes.fill(0, 1 << 20, 2 << 20);
    bytes.fill(0, 3 << 20, (3 << 20) + 65_536);
    check(disk.count.flush > flush && disk.count.discard === discard + 1 && disk.count.zeroes === zeroes + 1, JSON.stringify(disk.count));
    check(disk.fua === 1, `${disk.fua} with FUA`);
    check(disk.bytes.equals(bytes), 'the disk has other bytes');
  });

  await test(`${arch}: requests of more areas than fit, and larger than a transfer`, async () => {
    const many = Array(448).fill('8').join(' ');
    check(/3584\/3584/.test(await io(`writev -P 0x77 4M ${many}`)), vm.log.at(-1));
    bytes.fill(0x77, 4 << 20, (4 << 20) + 3584);
    check(/3584\/3584/.test(await io(`readv -P 0x77 4M ${many}`)), vm.log.at(-1));
    await io('write -P 0x33 5M 3M');
    bytes.fill(0x33, 5 << 20, 8 << 20);
    check(disk.bytes.equals(bytes), 'the disk has other bytes');
    check(disk.mostAreas <= 256, `${disk.mostAreas} areas`);
  });

  await test(`${arch}: 140 requests at once, answered in the opposite order`, async () => {
    const waiting = [];
    disk.delay = () => new Promise((resolve) => { waiting.push(resolve); });
    disk.mostInFlight = 0;
    const said = vm.log.length;
    for (let i = 0; i < 140; i++) await qmp('human-monitor-command', { 'command-line': `qemu-io disk "aio_read ${4 * i}k 4k"` });
    await sleep(300);
    const finished = () => vm.log.slice(said).filter((line) => /^read 4096\/4096 bytes at offset/.test(line)).length;
    check(finished() === 0, `${finished()} finished that were to wait`);
    check(disk.mostInFlight === 126, `${disk.mostInFlight} in flight`);
    while (finished() < 140) {
      check(waiting.length || disk.inFlight === 0 || finished() > 0, 'nothing to answer');
      waiting.splice(0).reverse().forEach((resolve) => resolve());
      await sleep(20);
    }
    disk.delay = () => undefined;
  });

  await test(`${arch}: faults are the guest's to see`, async () => {
    disk.fault = ({ op }) => (op === 'write' ? ENOSPC : EIO);
    for (const [command, drive, expected] of [
      ['write 0 4k', 'disk', /write failed: No space left/],
      ['read 0 4k', 'disk', /read failed: (I\/O|Input\/output) error/],
      ['write 0 4k', 'image', /permission|read-only/i],
    ]) {
      const said = await io(command, drive);
      check(expected.test(said), `${command}: ${said}`);
    }
    disk.fault = () => 0;
    check(/4096\/4096/.test(await io('write -P 1 0 4k')), vm.log.at(-1));
    check(image.count.write === 0, 'an image was written');
  });

  await test(`${arch}: a disk grows`, async () => {
    await qmp('block_resize', { device: 'disk', size: 12 << 20 });
    check(disk.bytes.length === 12 << 20, `${disk.bytes.length} bytes`);
    check(/1048576\/1048576/.test(await io('read -P 0 11M 1M')), vm.log.at(-1));
  });

  await test(`${arch}: what is detached can be attached again, and served by another`, async () => {
    for (let round = 0; round < 3; round++) {
      await qmp('human-monitor-command', { 'command-line': 'drive_del image' });
      const added = await qmp('human-monitor-command', { 'command-line': 'drive_add 0 if=none,id=image,format=raw,file=ring:image0,read-only=on' });
      check(/OK/.test(added), added);
      check(/4096\/4096/.test(await io('read 0 4k', 'image')), vm.log.at(-1));
    }
    const taken = await qmp('human-monitor-command', { 'command-line': 'drive_add 0 if=none,id=twice,format=raw,file=ring:image0' });
    check(/exists/.test(taken + vm.log.slice(-2).join('\n')), `the channel was given twice: ${taken}`);
  });

  await test(`${arch}: a disk is attached and detached by QMP`, async () => {
    const added = new Disk(Buffer.alloc(1 << 20, 0x21));
    added.serve(vm, 'added0').catch((error) => { added.broken = error; });
    for (let round = 0; round < 2; round++) {
      await qmp('blockdev-add', { driver: 'raw', 'node-name': 'added', file: { driver: 'ring', channel: 'added0' } });
      check(/4096\/4096/.test(await io('read -P 0x21 0 4k', 'added')), vm.log.at(-1));
      await qmp('blockdev-del', { 'node-name': 'added' });
    }
    check(!added.broken, added.broken);
  });

  await test(`${arch}: qcow2 over a channel`, async () => {
    const qcow2 = new Disk(Buffer.alloc(16 << 20));
    const serving = qcow2.serve(vm, 'q0');
    await qmp('human-monitor-command', { 'command-line': 'drive_add 0 if=none,id=plain,format=raw,file=ring:q0' }, 60_000);
    const node = (await qmp('query-block')).find(({ device }) => device === 'plain').inserted['node-name'];
    await qmp('blockdev-create', { 'job-id': 'create', options: { driver: 'qcow2', file: node, size: 1 << 30 } });
    for (;;) {
      const [job] = await qmp('query-jobs');
      if (job.status === 'concluded') {
        check(!job.error, job.error);
        break;
      }
      await sleep(20);
    }
    await qmp('job-dismiss', { id: 'create' });
    await qmp('human-monitor-command', { 'command-line': 'drive_del plain' });
    await qmp('human-monitor-command', { 'command-line': 'drive_add 0 if=none,id=q,format=qcow2,file=ring:q0' });
    check(qcow2.bytes.subarray(0, 4).toString('latin1') === 'QFI\u00fb', 'there is no qcow2 header');
    check(/1048576\/1048576/.test(await io('write -P 0x42 900M 1M', 'q')), vm.log.at(-1));
    await io('flush', 'q');
    check(/1048576\/1048576/.test(await io('read -P 0x42 900M 1M', 'q')), vm.log.at(-1));
    check(/1048576\/1048576/.test(await io('read -P 0 1M 1M', 'q')), vm.log.at(-1));
    check(qcow2.bytes.includes(Buffer.alloc(65_536, 0x42)), 'the data is not on the disk');
    serving.catch(() => undefined);
  });

  await test(`${arch}: quit`, () => quits(vm, qmp));
  await test(`${arch}: nothing was sent that is no request`, () => {
    for (const one of [disk, image]) if (one.broken) throw one.broken;
  });
}

/** A guest that uses the disk by what the machine has. */
async function testGuest(arch) {
  const { kernel, console: tty } = MACHINES[arch];
  const disk = new Disk(randomBytes(16 << 20));
  const copy = new Disk(Buffer.alloc(16 << 20));
  disk.delay = () => sleep(Math.random() * 3);
  let vm, qmp, serial;
  const booted = await test(`${arch}: Linux boots with disks over channels`, async () => {
    ({ vm, qmp } = await start(arch, { disk0: disk, copy0: copy }, ['-no-reboot',
      '-chardev', 'ring,id=serial0', '-serial', 'chardev:serial0',
      '-kernel', '/kernel', '-initrd', '/initrd', '-append', `console=${tty} quiet`,
      '-drive', 'if=none,id=disk,format=raw,file=ring:disk0', '-device', 'virtio-blk-pci,drive=disk,num-queues=2',
      '-drive', 'if=none,id=copy,format=raw,file=ring:copy0,discard=unmap', '-device', 'virtio-blk-pci,drive=copy'], {
      files: {
        '/kernel': gunzipSync(readFileSync(join(guest, arch, kernel))),
        '/initrd': gunzipSync(readFileSync(join(guest, arch, 'initramfs.cpio.gz'))),
      },
    }));
    serial = await vm.channel('serial0');
    await serial.expect('Welcome to QemuWeb', BOOT_MS);
    await serial.expect('# ', 30_000);
  });
  if (!booted) {
    console.log(vm?.log.join('\n'));
    return vm?.kill();
  }
  await test(`${arch}: a copy with several requests in flight, flushed`, async () => {
    const flushes = copy.count.flush;
    const { status } = await serial.run('for i in 0 1 2 3; do dd if=/dev/vda of=/dev/vdb bs=64k skip=$((i*64)) seek=$((i*64)) count=64 '
      + 'conv=notrunc,fsync 2>/dev/null & done; wait', 240_000);
    check(status === 0 && copy.bytes.equals(disk.bytes), 'the copy differs');
    check(copy.count.flush > flushes, 'no flush came');
    return `${disk.mostInFlight} and ${copy.mostInFlight} in flight, ${copy.mostAreas} areas`;
  });
  await test(`${arch}: quit`, () => quits(vm, qmp));
}

for (const arch of archs.length ? archs : Object.keys(MACHINES)) {
  await testPaused(arch);
  if (guest && guest !== '-') await testGuest(arch);
}
end();
