// SPDX-License-Identifier: GPL-2.0-or-later
// Disk images that native QEMU writes, read by ours (in Node) below an overlay: the same bytes in each format.
//   node formats.mjs [--quick] [--arch x86_64,aarch64] [--qemu OUTPUT]
// With --quick: a format of each family, and on x86_64 only.
// Prints `N passed, M failed`.
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { check, end, quits, sleep, test } from '../test/report.mjs';
import { Vm } from '../test/vm.mjs';
import { ARCHITECTURES, native, recipe } from './guests.mjs';

const { values: options } = parseArgs({
  options: { arch: { type: 'string' }, qemu: { type: 'string' }, quick: { type: 'boolean', default: false } },
});
const architectures = options.arch?.split(',') ?? (options.quick ? ['x86_64'] : ARCHITECTURES);
const output = options.qemu ?? recipe('build.sh');
const NATIVE = native('qemu-system-x86_64');
const directory = mkdtempSync(join(tmpdir(), 'qemuweb-formats-'));
process.on('exit', () => rmSync(directory, { recursive: true, force: true }));

const SIZE = 8 << 20;
const LATER_SIZE = 12 << 20;

/** The format's driver, how the image is made (QMP's blockdev-create), and whether its clusters are to be compressed. */
const FORMATS = {
  'qcow2, version 2': { driver: 'qcow2', create: { version: 'v2' } },
  'qcow2, version 3': { driver: 'qcow2', create: { version: 'v3' } },
  'qcow2, extended L2 entries': { driver: 'qcow2', create: { 'extended-l2': true } },
  'qcow2, zlib': { driver: 'qcow2', compress: true },
  'qcow2, zstd': { driver: 'qcow2', create: { 'compression-type': 'zstd' }, compress: true },
  qcow: { driver: 'qcow' },
  qed: { driver: 'qed' },
  'vmdk, sparse': { driver: 'vmdk', create: { subformat: 'monolithicSparse' } },
  'vmdk, for streams': { driver: 'vmdk', create: { subformat: 'streamOptimized' }, compress: true },
  vdi: { driver: 'vdi' },
  'vdi, preallocated': { driver: 'vdi', create: { preallocation: 'metadata' } },
  'vhdx, dynamic': { driver: 'vhdx', create: { subformat: 'dynamic' } },
  'vhdx, fixed': { driver: 'vhdx', create: { subformat: 'fixed' } },
  'vhd, dynamic': { driver: 'vpc', create: { subformat: 'dynamic', 'force-size': true } },
  'vhd, fixed': { driver: 'vpc', create: { subformat: 'fixed', 'force-size': true } },
  parallels: { driver: 'parallels' },
};

const QUICK = ['qcow2, zstd', 'vmdk, for streams', 'vdi', 'vhdx, dynamic', 'vhd, dynamic'];
const formats = Object.entries(FORMATS).filter(([name]) => !options.quick || QUICK.includes(name));

function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Random, compressible and empty parts, each some clusters long. */
function content(size) {
  const bytes = Buffer.alloc(size);
  randomBytes(1 << 20).copy(bytes, 0);
  for (let at = 2 << 20; at < 4 << 20; at += 16) bytes.write(`line ${at}`, at, 'latin1');
  randomBytes(70_000).copy(bytes, size - 70_000);
  return bytes;
}

/** Native QEMU without a machine, on QMP. */
class Native {
  #process = spawn(NATIVE, ['-M', 'none', '-nodefaults', '-display', 'none', '-qmp', 'stdio'], { stdio: ['pipe', 'pipe', 'ignore'] });
  #lines = this.#process.stdout.setEncoding('utf8')[Symbol.asyncIterator]();
  #text = '';

  /** Runs a command and returns its answer; events are left out. */
  async qmp(execute, args) {
    this.#process.stdin.write(JSON.stringify({ execute, arguments: args }) + '\n');
    for (;;) {
      const end = this.#text.indexOf('\n');
      if (end < 0) {
        const { value, done } = await this.#lines.next();
        if (done) throw new Error(`native QEMU ended at ${execute}`);
        this.#text += value;
        continue;
      }
      const answer = JSON.parse(this.#text.slice(0, end));
      this.#text = this.#text.slice(end + 1);
      if (answer.error) throw new Error(`${execute}: ${answer.error.desc}`);
      if ('return' in answer) return answer.return;
    }
  }

  async job(execute, args) {
    await this.qmp(execute, { 'job-id': 'j', ...args });
    await finished((command, options) => this.qmp(command, options), 'j');
  }

  /** Lays a new image of `format` with `bytes` at `path` and leaves it open as the node `image`. */
  async write({ driver, create, compress }, bytes, path) {
    const source = join(directory, 'source');
    writeFileSync(source, bytes);
    writeFileSync(path, '');
    await this.qmp('blockdev-add', { driver: 'file', filename: path, 'node-name': 'file' });
    await this.job('blockdev-create', { options: { driver, file: 'file', size: bytes.length, ...create } });
    await this.qmp('blockdev-add', { driver, file: 'file', 'node-name': 'image' });
    await this.copy(source, compress);
  }

  /** Makes the content of the raw file `source` that of the node `image`. */
  async copy(source, compress = false) {
    await this.qmp('blockdev-add', { driver: 'raw', file: { driver: 'file', filename: source }, 'node-name': 'source' });
    await this.job('blockdev-backup', { device: 'source', target: 'image', sync: 'full', compress, 'auto-dismiss': false });
    await this.qmp('blockdev-del', { 'node-name': 'source' });
  }

  async close() {
    await this.qmp('blockdev-del', { 'node-name': 'image' });
    await this.qmp('blockdev-del', { 'node-name': 'file' });
  }

  quit() {
    this.#process.kill();
  }
}

async function finished(qmp, id) {
  for (;;) {
    const job = (await qmp('query-jobs')).find((each) => each.id === id);
    check(job, `job ${id} is gone`);
    if (job.status === 'concluded') {
      check(!job.error, `job ${id}: ${job.error}`);
      return qmp('job-dismiss', { id });
    }
    await sleep(10);
  }
}

/** What our QEMU reads of an image, as a disk is given to it. */
async function read(arch, image, drive) {
  const vm = await Vm.start({
    output, arch, files: { '/vm/image': image, '/vm/copy': Buffer.alloc(0) },
    args: ['-M', 'none', '-nodefaults', '-no-user-config', '-display', 'none', '-chardev', 'ring,id=qmp0', '-mon', 'chardev=qmp0,mode=control',
      '-drive', `if=none,id=disk,file=/vm/image,snapshot=on,${drive}`],
  });
  const qmp = await vm.qmp().catch((error) => { throw new Error(`${vm.log.join('\n')} (${error.message})`); });
  const { inserted } = (await qmp('query-block')).find(({ device }) => device === 'disk');
  const length = inserted.image['virtual-size'];
  vm.module.FS.truncate('/vm/copy', length);
  await qmp('blockdev-add', { driver: 'raw', file: { driver: 'file', filename: '/vm/copy' }, 'node-name': 'copy' });
  await qmp('blockdev-backup', { 'job-id': 'j', device: 'disk', target: 'copy', sync: 'full', 'auto-dismiss': false });
  await finished(qmp, 'j');
  await quits(vm, qmp);
  return Buffer.from(vm.module.FS.readFile('/vm/copy'));
}

function compare(found, expected) {
  check(found.length === expected.length, `${found.length} bytes, of ${expected.length}`);
  check(sha256(found) === sha256(expected), 'other bytes');
}

/** Runs `body` with a native QEMU. */
async function withNative(body) {
  const native = new Native();
  try {
    await native.qmp('qmp_capabilities');
    await body(native);
  } finally {
    native.quit();
  }
}

const images = {};
const bytes = content(SIZE);
for (const [name, format] of formats) {
  const path = join(directory, 'image');
  await test(`native QEMU writes ${name}`, () => withNative(async (native) => {
    await native.write(format, bytes, path);
    await native.close();
    images[name] = readFileSync(path);
  }));
}

// The disk as it was, and as it has become, larger.
const later = content(LATER_SIZE);
const snapshotPath = join(directory, 'snapshots');
await test('native QEMU writes qcow2 with a snapshot', () => withNative(async (native) => {
  await native.write({ driver: 'qcow2' }, bytes, snapshotPath);
  await native.qmp('blockdev-snapshot-internal-sync', { device: 'image', name: 'before' });
  await native.qmp('block_resize', { 'node-name': 'image', size: LATER_SIZE });
  writeFileSync(join(directory, 'later'), later);
  await native.copy(join(directory, 'later'));
  await native.close();
}));

for (const arch of architectures) {
  for (const [name, { driver }] of formats) {
    await test(`${arch}: ${name}`, async () => {
      check(images[name], 'no image');
      compare(await read(arch, images[name], `format=${driver}`), bytes);
    });
  }
  const image = readFileSync(snapshotPath);
  await test(`${arch}: qcow2, as it is now`, async () => compare(await read(arch, image, 'format=qcow2'), later));
  await test(`${arch}: qcow2, a snapshot by its ID`, async () => compare(await read(arch, image, 'format=qcow2,load-snapshot=1'), bytes));
  await test(`${arch}: qcow2, a snapshot by its name`, async () => compare(await read(arch, image, 'format=qcow2,load-snapshot=before'), bytes));
  await test(`${arch}: qcow2, a snapshot that is not there`, async () => {
    const outcome = await read(arch, image, 'format=qcow2,load-snapshot=none').catch((error) => error);
    check(/There is no snapshot 'none'/.test(outcome), `${outcome}`.slice(0, 300));
  });
}
end();
