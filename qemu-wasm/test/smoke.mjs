// SPDX-License-Identifier: GPL-2.0-or-later
// Smoke test of a QEMU output, in Node: rings, QMP, sleeping, disks through coroutines, and a guest's console.
//   node smoke.mjs QEMU-OUTPUT [GUEST-OUTPUT] [ARCH]...
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { check, end, quits, sleep, test, within } from './report.mjs';
import { Vm, cpuShare } from './vm.mjs';

const [output, guest, ...archs] = process.argv.slice(2);
// A main loop that does not sleep burns a whole core. What an idle VM costs is measured by `cargo xtask bench boot`.
const SPINNING = 0.5;
const BOOT_MS = 240_000;

const MACHINES = {
  x86_64: { machine: ['-M', 'q35', '-cpu', 'max'], kernel: 'vmlinux.gz', console: 'ttyS0' },
  aarch64: { machine: ['-M', 'virt', '-cpu', 'cortex-a57'], kernel: 'Image.gz', console: 'ttyAMA0' },
};

const COMMON = [
  '-nodefaults', '-display', 'none', '-no-user-config', '-m', '128',
  '-chardev', 'ring,id=qmp0', '-mon', 'chardev=qmp0,mode=control',
];
const SERIAL = ['-chardev', 'ring,id=serial0', '-serial', 'chardev:serial0'];

/** The process comes to rest: V8 goes on compiling for some seconds what has just run. */
async function idle() {
  let share;
  for (let windows = 0; windows < 4; windows++) {
    share = await cpuShare(5000);
    if (share < SPINNING) return `${(share * 100).toFixed(2)} % of a core`;
  }
  throw new Error(`spins: ${(share * 100).toFixed(1)} % of a core`);
}

/** A paused VM: QMP, idling, and the block layer without a guest. */
async function testPaused(arch) {
  const { machine } = MACHINES[arch];
  const disk = Buffer.alloc(8 << 20, 0);
  let vm, qmp;
  const started = await test(`${arch}: QMP greeting and query-status`, async () => {
    vm = await Vm.start({
      output, arch, files: { '/raw.img': disk },
      args: [...machine, ...COMMON, ...SERIAL, '-S',
        '-chardev', 'ring,id=hmp0,size=64', '-mon', 'chardev=hmp0,mode=readline',
        '-blockdev', 'driver=file,filename=/raw.img,node-name=rawfile', '-blockdev', 'driver=raw,file=rawfile,node-name=raw',
        '-drive', 'if=none,id=held,driver=raw,file.driver=blkdebug,file.image.driver=null-co,file.image.size=1G'],
    });
    qmp = await vm.qmp();
    const { major, minor, micro } = vm.greeting.QMP.version.qemu;
    check(`${major}.${minor}.${micro}` === '10.2.2', `version ${major}.${minor}.${micro}`);
    const { status } = await qmp('query-status');
    check(status === 'prelaunch', `status ${status}`);
  });
  if (!started) return vm?.kill();

  await test(`${arch}: a paused VM sleeps`, () => idle());

  await test(`${arch}: a job copies raw to qcow2 and back through coroutines`, async () => {
    randomBytes(disk.length).copy(disk);
    vm.module.FS.writeFile('/source.img', disk);
    const size = disk.length;
    await qmp('blockdev-add', { driver: 'file', filename: '/source.img', 'node-name': 'source' });
    await qmp('blockdev-create', { 'job-id': 'f', options: { driver: 'file', filename: '/q.qcow2', size: 0 } });
    await jobDone(qmp, 'f');
    await qmp('blockdev-add', { driver: 'file', filename: '/q.qcow2', 'node-name': 'qfile' });
    await qmp('blockdev-create', { 'job-id': 'q', options: { driver: 'qcow2', file: 'qfile', size } });
    await jobDone(qmp, 'q');
    await qmp('blockdev-add', { driver: 'qcow2', file: 'qfile', 'node-name': 'q' });
    await qmp('blockdev-mirror', { 'job-id': 'to', device: 'source', target: 'q', sync: 'full', 'auto-dismiss': false });
    await jobDone(qmp, 'to', true);
    await qmp('blockdev-mirror', { 'job-id': 'from', device: 'q', target: 'raw', sync: 'full', 'auto-dismiss': false });
    await jobDone(qmp, 'from', true);
    const copy = vm.module.FS.readFile('/raw.img');
    check(sha256(copy) === sha256(disk), 'the copy differs');
  });

  await test(`${arch}: 64 requests of the block layer in flight`, async () => {
    const io = (command) => qmp('human-monitor-command', { 'command-line': `qemu-io held "${command}"` });
    const finished = () => vm.log.filter((line) => /^read 4096\/4096 bytes at offset/.test(line)).length;
    for (let i = 0; i < 64; i++) {
      await io(`break read_aio held${i}`);
      await io(`aio_read ${4 * i}k 4k`);
    }
    check(finished() === 0, `${finished()} finished that were to wait`);
    for (let i = 63; i >= 0; i--) await io(`resume held${i}`);
    for (let tries = 0; finished() < 64 && tries < 600; tries++) await sleep(50);
    check(finished() === 64, `${finished()} finished`);
  });

  await test(`${arch}: a monitor through a ring of 64 bytes loses nothing`, async () => {
    const monitor = await vm.channel('hmp0');
    await monitor.expect('(qemu) ');
    const expected = await qmp('human-monitor-command', { 'command-line': 'info qtree' });
    check(expected.length > 2000, `a short answer: ${expected}`);
    await monitor.write('info qtree\n');
    const text = await monitor.expect(/\r\n\(qemu\) $/);
    check(text.replace(/\r\n\(qemu\) $/, '').endsWith(expected.trimEnd().replaceAll('\r', '').replaceAll('\n', '\r\n')), text.slice(-600));
  });

  await test(`${arch}: quit`, () => quits(vm, qmp));
}

/** Arguments that QEMU rejects end it with its message. */
async function testRejected(arch) {
  await test(`${arch}: a wrong argument ends QEMU with its message`, async () => {
    const vm = await Vm.start({ output, arch, args: [...MACHINES[arch].machine, ...COMMON, '-kernel', '/none'] });
    const code = await within(vm.exited, 20_000, 'exit');
    check(code === 1, `exit code ${code}`);
    check(vm.log.some((line) => line.includes('/none')), `it said: ${vm.log.join('\n')}`);
  });
}

async function jobDone(qmp, id, mirror = false) {
  for (;;) {
    const job = (await qmp('query-jobs')).find((j) => j.id === id);
    check(job, `job ${id} is gone`);
    if (mirror && job.status === 'ready') await qmp('job-complete', { id });
    if (job.status === 'concluded') {
      check(!job.error, `job ${id}: ${job.error}`);
      await qmp('job-dismiss', { id });
      return;
    }
    await sleep(50);
  }
}

function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}

/** A booted guest: console both ways, disks, idling. */
async function testGuest(arch) {
  const { machine, kernel, console: tty } = MACHINES[arch];
  let vm, qmp, serial;
  const disk = randomBytes(4 << 20);
  const files = {
    '/kernel': gunzipSync(readFileSync(join(guest, arch, kernel))),
    '/initrd': gunzipSync(readFileSync(join(guest, arch, 'initramfs.cpio.gz'))),
    '/disk.img': disk,
    '/empty.img': Buffer.alloc(disk.length),
    '/share/hello': Buffer.from('from the host\n'),
  };
  const args = [...machine, ...COMMON, ...SERIAL, '-no-reboot',
    '-kernel', '/kernel', '-initrd', '/initrd', '-append', `console=${tty} quiet`,
    '-device', 'virtio-rng-pci', '-device', 'virtio-serial-pci',
    '-chardev', 'ring,id=agent0', '-device', 'virtserialport,chardev=agent0,name=org.qemuweb.agent.0',
    '-chardev', 'ring,id=port0', '-device', 'virtserialport,chardev=port0,name=test',
    '-fsdev', 'local,id=share,path=/share,security_model=mapped-file', '-device', 'virtio-9p-pci,fsdev=share,mount_tag=share',
    '-drive', 'file=/disk.img,format=raw,if=none,id=a', '-device', 'virtio-blk-pci,drive=a',
    '-drive', 'file=/empty.img,format=raw,if=none,id=b', '-device', 'virtio-blk-pci,drive=b'];
  const booted = await test(`${arch}: Linux boots to a shell`, async () => {
    vm = await Vm.start({ output, arch, heapMiB: 700, files, args });
    qmp = await vm.qmp();
    serial = await vm.channel('serial0');
    await serial.expect('Welcome to QemuWeb', BOOT_MS);
    await serial.expect('# ', 30_000);
  });
  if (!booted) {
    console.log(vm?.log.join('\n'));
    return vm?.kill();
  }

  await test(`${arch}: the shell answers`, async () => {
    const { status, lines } = await serial.run('uname -m; echo $((6 * 7))', 30_000);
    check(status === 0 && lines.join(' ') === `${arch} 42`, JSON.stringify(lines));
  });

  await test(`${arch}: 64 KiB through the console, both ways, unbroken`, async () => {
    const bytes = randomBytes(65_536);
    await serial.write('stty raw -echo; echo rea""dy; head -c 65536 > /tmp/in; echo sto""red; cat /tmp/in; echo ba""ck; stty sane\n');
    await serial.expect('ready');
    await serial.expect('\n');
    await serial.write(bytes);
    await serial.expect('stored\n', 120_000);
    const back = Buffer.from((await serial.expect(/back\n$/, 120_000)).slice(0, -5), 'latin1');
    check(back.equals(bytes), `${back.length} bytes came back, of ${bytes.length}, SHA-256 ${sha256(back)} for ${sha256(bytes)}`);
    await serial.expect('# ', 10_000);
  });

  await test(`${arch}: a disk is read and written with several requests in flight`, async () => {
    const command = 'for i in 0 1 2 3; do dd if=/dev/vda of=/dev/vdb bs=64k skip=$((i*16)) seek=$((i*16)) count=16 '
      + 'conv=notrunc 2>/dev/null & done; wait; sync; sha256sum < /dev/vda';
    const { lines } = await serial.run(command, 120_000);
    check(lines.join('\n').includes(sha256(disk)), 'the guest read other bytes than the disk has');
    check(sha256(vm.module.FS.readFile('/empty.img')) === sha256(disk), 'the copy on the second disk differs');
  });

  await test(`${arch}: a port that is closed and opened again is seen to be`, async () => {
    const port = await vm.channel('port0');
    check(port.opened === 0, `opened ${port.opened} before the guest has`);
    await serial.run('for i in 1 2 3; do : < /dev/virtio-ports/test; done; sleep 100 < /dev/virtio-ports/test & sleep 1', 30_000);
    check(port.opened === 7, `${port.opened} after four openings and three closings`);
    await serial.run('kill $!; sleep 1', 30_000);
    check(port.opened === 8, `${port.opened} after the last closing`);
  });

  await test(`${arch}: a shared directory over 9p`, async () => {
    const { status } = await serial.run('mkdir -p /mnt && mount -t 9p -o trans=virtio,version=9p2000.L share /mnt', 30_000);
    check(status === 0, 'mount failed');
    const { lines } = await serial.run('cat /mnt/hello; echo from the guest > /mnt/reply; ls /mnt/nothing; umount /mnt', 30_000);
    check(lines.join('\n').includes('from the host'), `read ${lines}`);
    check(lines.join('\n').includes('No such file'), `an error of another kind: ${lines}`);
    const reply = new TextDecoder().decode(vm.module.FS.readFile('/share/reply'));
    check(reply === 'from the guest\n', `wrote ${reply}`);
  });

  await test(`${arch}: a guest at its prompt sleeps`, async () => {
    await sleep(2000);
    return idle();
  });

  let state;
  await test(`${arch}: quit with a running guest, its state saved`, async () => {
    await serial.run('export MEMORY=kept', 10_000);
    await qmp('migrate', { uri: 'file:/state' });
    for (let status; status !== 'completed';) {
      ({ status } = await qmp('query-migrate'));
      check(status !== 'failed', 'migration failed');
      await sleep(100);
    }
    state = vm.module.FS.readFile('/state');
    await quits(vm, qmp);
    return `${(state.length / 2 ** 20).toFixed(1)} MiB`;
  });

  await test(`${arch}: the saved state goes on`, async () => {
    const next = await Vm.start({ output, arch, heapMiB: 700, files: { ...files, '/state': state }, args: [...args, '-incoming', 'file:/state'] });
    const nextQmp = await next.qmp();
    while (!(await nextQmp('query-status')).running) await sleep(100);
    const nextSerial = await next.channel('serial0');
    await nextSerial.write('\n');
    await nextSerial.expect('# ', 30_000);
    const { lines } = await nextSerial.run('echo memory $MEMORY', 30_000);
    check(lines.join().includes('memory kept'), `${lines}`);
    await quits(next, nextQmp);
  });
}

for (const arch of archs.length ? archs : Object.keys(MACHINES)) {
  await testPaused(arch);
  await testRejected(arch);
  if (guest && guest !== '-') await testGuest(arch);
}
end();
