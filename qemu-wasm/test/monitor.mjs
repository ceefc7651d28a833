// SPDX-License-Identifier: GPL-2.0-or-later
// Asks a paused VM all that its monitors can tell: every `info` of HMP, every query of QMP, what each device's properties are. In
// WebAssembly a function that is called by a pointer of another type ends the program, so a question that nobody asks hides that.
//   node monitor.mjs QEMU-OUTPUT [ARCH]...
// Prints `N passed, M failed`.
import { check, end, quits, test } from './report.mjs';
import { Vm } from './vm.mjs';

const [output, ...archs] = process.argv.slice(2);

const DISK = ['-blockdev', 'driver=null-co,node-name=disk,size=1048576'];
const PCI = ['-device', 'virtio-blk-pci,drive=disk', '-device', 'virtio-net-pci', '-device', 'virtio-serial-pci',
  '-chardev', 'null,id=null1', '-device', 'virtconsole,chardev=null1', '-device', 'virtio-balloon-pci', '-device', 'virtio-rng-pci',
  '-device', 'virtio-gpu-pci', '-device', 'qemu-xhci,id=xhci', '-device', 'usb-tablet,bus=xhci.0', '-device', 'usb-kbd,bus=xhci.0'];
const MACHINES = {
  x86_64: {
    pc: ['-M', 'pc', '-cpu', 'max', '-smp', '2', ...DISK, ...PCI, '-vga', 'std', '-drive', 'if=floppy,driver=null-co,size=1474560'],
    q35: ['-M', 'q35', '-cpu', 'qemu64', ...DISK, ...PCI],
    microvm: ['-M', 'microvm', ...DISK, '-device', 'virtio-blk-device,drive=disk'],
  },
  aarch64: { virt: ['-M', 'virt', '-cpu', 'max', '-smp', '2', ...DISK, ...PCI] },
};

/** The commands below `info`, from HMP's own list. */
async function infos(hmp) {
  return [...(await hmp('help info')).matchAll(/^info (\S+)/gm)].map(([, name]) => name.split('|')[0]);
}

/** What QMP has without effects: names of commands that ask. They may lack arguments; that is an answer. */
async function queries(qmp) {
  const commands = (await qmp('query-commands')).map(({ name }) => name);
  return commands.filter((name) => /^(x-)?query-|-list-|^qom-list$/.test(name));
}

/** How many of `questions` were answered, with an error or without. */
async function ask(questions, question) {
  let errors = 0;
  for (const name of questions) {
    try {
      await question(name);
    } catch (error) {
      // A VM that ended does not answer.
      if (/waited for/.test(error)) throw new Error(`${name}: ${error.message}`);
      errors += 1;
    }
  }
  return `${questions.length} asked, ${errors} refused`;
}

async function testMachine(arch, name, machine) {
  let vm, qmp;
  const hmp = (line) => qmp('human-monitor-command', { 'command-line': line }, 60_000);
  const started = await test(`${arch} ${name}: starts`, async () => {
    vm = await Vm.start({
      output, arch, heapMiB: 700,
      args: [...machine, '-nodefaults', '-no-user-config', '-display', 'none', '-m', '128', '-S',
        '-chardev', 'null,id=null0', '-serial', 'chardev:null0', '-chardev', 'ring,id=qmp0', '-mon', 'chardev=qmp0,mode=control'],
    });
    qmp = await vm.qmp();
  });
  if (!started) {
    console.log(vm?.log.join('\n'));
    return vm?.kill();
  }
  const all = [
    ['info of HMP', () => infos(hmp), (info) => hmp(`info ${info}`)],
    ['info of HMP with options', () => ['mtree -f', 'mtree -d', 'mtree -o', 'mtree -D', 'registers -a', 'block -v', 'block -n',
      'qom-tree /', 'tlb', 'cpustats', 'snapshots', 'jit', 'opcount'], (info) => hmp(`info ${info}`)],
    ['queries of QMP', () => queries(qmp), (query) => qmp(query, undefined, 60_000)],
    ['properties of what users create', async () => (await qmp('qom-list-types', { implements: 'user-creatable' })).map((type) => type.name),
      (typename) => qmp('qom-list-properties', { typename }, 60_000)],
    ['options of each device', async () => (await qmp('qom-list-types', { implements: 'device' })).map((type) => type.name),
      (device) => qmp('device-list-properties', { typename: device }, 60_000)],
    ['the processor that it has', () => ['max'],
      (model) => qmp('query-cpu-model-expansion', { type: 'full', model: { name: model } }, 60_000)],
    ['help of HMP', () => ['', 'info', 'device_add', 'drive_add'], (topic) => hmp(`help ${topic}`)],
  ];
  for (const [what, questions, question] of all) {
    await test(`${arch} ${name}: ${what}`, async () => {
      const names = await questions();
      check(names.length, 'nothing to ask');
      return ask(names, question);
    });
  }
  await test(`${arch} ${name}: the memory's tree`, async () => {
    const tree = await hmp('info mtree');
    check(/address-space: memory\s/.test(tree) && /system/.test(tree), tree.slice(0, 400));
  });
  await test(`${arch} ${name}: quit`, () => quits(vm, qmp));
}

for (const arch of archs.length ? archs : Object.keys(MACHINES)) {
  for (const [name, machine] of Object.entries(MACHINES[arch])) await testMachine(arch, name, machine);
}
end();
