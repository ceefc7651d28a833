// SPDX-License-Identifier: GPL-2.0-or-later
// Guests with as much memory as a WebAssembly memory of 4 GiB has room for, and with 2 GiB, where addresses no longer fit into a signed
// number of 32 bits: they boot and use what they have. On aarch64 QEMU unpacks the kernel, with the little that the guest leaves it.
//   node large.mjs QEMU-OUTPUT GUEST-OUTPUT [ARCH]...
// Prints `N passed, M failed`.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { check, end, quits, test } from './report.mjs';
import { Vm } from './vm.mjs';

const [output, guest, ...archs] = process.argv.slice(2);
const BOOT_MS = 300_000;
/** As the extension's limits have it: the largest memory, what QEMU needs of it, translated code. */
const LARGEST_HEAP_MIB = 4095;
const OWN_MIB = 384;
const TB_SIZE_MIB = 256;

const MACHINES = {
  x86_64: { machine: ['-M', 'q35', '-cpu', 'max'], kernel: 'vmlinux.gz', unpack: gunzipSync, console: 'ttyS0' },
  aarch64: { machine: ['-M', 'virt', '-cpu', 'cortex-a57'], kernel: 'Image.gz', unpack: (file) => file, console: 'ttyAMA0' },
};

async function testMemory(arch, heapMiB) {
  const memoryMiB = heapMiB - OWN_MIB - TB_SIZE_MIB;
  const { machine, kernel, unpack, console: tty } = MACHINES[arch];
  let vm, qmp, serial;
  const booted = await test(`${arch}: a guest of ${memoryMiB} MiB boots in ${heapMiB} MiB`, async () => {
    vm = await Vm.start({
      output, arch, heapMiB,
      files: {
        '/kernel': unpack(readFileSync(join(guest, arch, kernel))),
        '/initrd': gunzipSync(readFileSync(join(guest, arch, 'initramfs.cpio.gz'))),
        '/disk': Buffer.from('a disk in the file system\n'.padEnd(4096)),
        '/share/file': Buffer.from('a shared file\n'),
      },
      args: [...machine, '-nodefaults', '-no-user-config', '-display', 'none', '-m', String(memoryMiB), '-smp', '2',
        '-accel', `tcg,tb-size=${TB_SIZE_MIB}`,
        '-chardev', 'ring,id=qmp0', '-mon', 'chardev=qmp0,mode=control', '-chardev', 'ring,id=serial0', '-serial', 'chardev:serial0',
        '-kernel', '/kernel', '-initrd', '/initrd', '-append', `console=${tty} quiet`,
        '-drive', 'file=/disk,format=raw,if=none,id=disk,snapshot=on', '-device', 'virtio-blk-pci,drive=disk',
        '-fsdev', 'local,id=share,path=/share,security_model=mapped-file', '-device', 'virtio-9p-pci,fsdev=share,mount_tag=share'],
    });
    qmp = await vm.qmp();
    serial = await vm.channel('serial0');
    await serial.expect('Welcome to QemuWeb', BOOT_MS);
    await serial.expect('# ', 60_000);
  });
  if (!booted) {
    console.log(vm?.log.join('\n'));
    return vm?.kill();
  }
  await test(`${arch}: it has all of its ${memoryMiB} MiB`, async () => {
    const { lines } = await serial.run('free -m', 60_000);
    const total = Number(lines.join('\n').match(/^Mem: +(\d+)/m)?.[1]);
    check(total > memoryMiB * 0.9 && total <= memoryMiB, lines.join('\n'));
    return `${total} MiB`;
  });
  await test(`${arch}: disks and shared folders go there, too`, async () => {
    const command = 'mkdir -p /mnt && mount -t 9p -o trans=virtio,version=9p2000.L share /mnt && cat /mnt/file && ls -l /mnt/file && head -n 1 /dev/vda';
    const { status, lines } = await serial.run(command, 60_000);
    const text = lines.join('\n');
    check(status === 0 && text.includes('a shared file') && / 14 /.test(text) && text.includes('a disk in the file system'), text);
  });
  await test(`${arch}: pages at its end are written and read`, async () => {
    // What the kernel gives out first is at the end.
    const bytes = 64 * 2 ** 20;
    const command = `mount -t tmpfs -o size=100% fill /mnt; head -c ${bytes} /dev/zero | tr '\\0' Q >/mnt/fill; `
      + 'wc -c </mnt/fill; tail -c 4 /mnt/fill; echo; rm /mnt/fill; umount /mnt';
    const { lines } = await serial.run(command, 600_000);
    check(lines.includes(`${bytes}`) && lines.includes('QQQQ'), lines.join('\n'));
  });
  await test(`${arch}: quit`, () => quits(vm, qmp));
}

for (const arch of archs.length ? archs : Object.keys(MACHINES)) {
  await testMemory(arch, 2048 + OWN_MIB + TB_SIZE_MIB);
  await testMemory(arch, LARGEST_HEAP_MIB);
}
end();
