// SPDX-License-Identifier: GPL-2.0-or-later
// The same guest twice: on one of our QEMU outputs in Node, and on native QEMU (../native.sh) under TCG. Same kernel, initramfs,
// machine and processor; each gives a console with a shell. `i386` is an x86-64 guest with Debian's kernel, which runs
// 32-bit programs.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { Console, Vm } from '../test/vm.mjs';

const QEMU_WASM = dirname(dirname(fileURLToPath(import.meta.url)));
const BOOT_MS = 600_000;

const MACHINES = {
  x86_64: {
    system: 'x86_64',
    kernel: () => gunzipSync(readFileSync(join(recipe('guest/build.sh'), 'x86_64/vmlinux.gz'))),
    arguments: ['-M', 'q35,sata=off,smbus=off,usb=off,hpet=off,vmport=off,i8042=off,smm=off', '-cpu', 'max', '-bios', 'qboot.rom'],
    append: (tscKhz) => `console=ttyS0 quiet noreplace-smp no_timer_check tsc=reliable lapic_timer_khz=1000000 tsc_early_khz=${tscKhz}`,
  },
  i386: {
    system: 'x86_64',
    kernel: () => readFileSync(join(recipe('check/build.sh'), 'x86_64/debian-cloud/vmlinuz')),
    arguments: ['-M', 'q35,smbus=off,usb=off,vmport=off,smm=off', '-cpu', 'max'],
    append: () => 'console=ttyS0 quiet',
  },
  aarch64: {
    system: 'aarch64',
    kernel: () => gunzipSync(readFileSync(join(recipe('guest/build.sh'), 'aarch64/Image.gz'))),
    arguments: ['-M', 'virt', '-cpu', 'neoverse-n1'],
    append: () => 'console=ttyAMA0 quiet',
  },
};
/** The path of a program of native QEMU. */
export function native(program) {
  return join(recipe('native.sh'), program);
}

export const ARCHITECTURES = ['x86_64', 'aarch64'];

const OUR_TSC_KHZ = 1_000_000;

/** A guest of native QEMU sees this machine's time stamp counter. */
function hostTscKhz() {
  return Math.round(1000 * Number(readFileSync('/proc/cpuinfo', 'utf8').match(/^cpu MHz\s*: ([\d.]+)/m)?.[1] ?? 1000));
}

const COMMON = ['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-m', '256', '-serial', 'chardev:serial0'];

/** What a recipe made; it is built first if the cache lacks it. */
export function recipe(script) {
  return execFileSync(join(QEMU_WASM, script), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim().split('\n').pop();
}

function images(machine, initramfs) {
  return { kernel: machine.kernel(), initrd: readFileSync(join(recipe('check/build.sh'), machine.system, initramfs)) };
}

/** Boots on `output` (of build.sh) in this process, with further arguments for QEMU; returns the console at its prompt. */
export async function bootOurs(arch, output, initramfs = 'initramfs.cpio', args = []) {
  const machine = MACHINES[arch];
  const { kernel, initrd } = images(machine, initramfs);
  const vm = await Vm.start({
    output, arch: machine.system, heapMiB: 800, files: { '/kernel': kernel, '/initrd': initrd },
    args: [...machine.arguments, ...COMMON, ...args, '-chardev', 'ring,id=serial0', '-kernel', '/kernel', '-initrd', '/initrd',
      '-append', machine.append(OUR_TSC_KHZ)],
  });
  return atPrompt(await vm.channel('serial0'));
}

/** The console of a native QEMU on its standard input and output. */
class NativeConsole extends Console {
  ended = false;
  #chunks = [];
  #wake = () => {};

  constructor(program, args) {
    super();
    this.process = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.process.stdout.on('data', (bytes) => { this.#chunks.push(bytes); this.#wake(); });
    this.process.on('close', () => { this.ended = true; this.#wake(); });
    process.on('exit', () => this.process.kill());
  }

  async write(data) {
    this.process.stdin.write(data);
  }

  async read(ms) {
    if (!this.#chunks.length && !this.ended) {
      let timer;
      await new Promise((resolve) => { this.#wake = resolve; timer = setTimeout(resolve, ms); });
      clearTimeout(timer);
    }
    return Buffer.concat(this.#chunks.splice(0));
  }
}

/** Boots on native QEMU; returns the console at its prompt. */
export async function bootNative(arch, initramfs = 'initramfs.cpio') {
  const machine = MACHINES[arch];
  const { kernel, initrd } = images(machine, initramfs);
  const directory = mkdtempSync(join(tmpdir(), 'qemuweb-check-'));
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
  writeFileSync(join(directory, 'kernel'), kernel);
  writeFileSync(join(directory, 'initrd'), initrd);
  return atPrompt(new NativeConsole(native(`qemu-system-${machine.system}`), [...machine.arguments, ...COMMON, '-accel', 'tcg',
    '-chardev', 'stdio,id=serial0,signal=off', '-kernel', join(directory, 'kernel'), '-initrd', join(directory, 'initrd'),
    '-append', machine.append(hostTscKhz())]));
}

async function atPrompt(console) {
  await console.expect('Welcome to QemuWeb', BOOT_MS);
  await console.expect('# ', BOOT_MS);
  // A wide terminal, so that long command lines are echoed as they are; no messages of the kernel.
  await console.run('stty cols 500; dmesg -n 1', 60_000);
  return console;
}
