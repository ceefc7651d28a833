// SPDX-License-Identifier: GPL-2.0-or-later
// Two vCPUs at once: the same random code in three processes has to do the same in each, as when it runs alone.
//   node parallel.mjs [--arch x86_64,aarch64] [--blocks N] [--runs N] [--seed N] [--qemu OUTPUT]
// The processes share translated blocks and compiled regions; every 64th block throws some of them away.
import { parseArgs } from 'node:util';
import { ARCHITECTURES, bootOurs, recipe } from './guests.mjs';

const COMMAND_MS = 600_000;

const { values: options } = parseArgs({
  options: {
    arch: { type: 'string', default: ARCHITECTURES.join() },
    blocks: { type: 'string', default: '130' },
    runs: { type: 'string', default: '300' },
    seed: { type: 'string', default: '5' },
    qemu: { type: 'string' },
  },
});
const output = options.qemu ?? recipe('build.sh');
let passed = 0;
let failed = 0;

for (const arch of options.arch.split(',')) {
  const guest = await bootOurs(arch, output, undefined, ['-smp', '2']);
  const program = `/check/difftest ${options.seed} ${options.blocks} runs=${options.runs}`;
  const start = performance.now();
  const { status, lines } = await guest.run(
    `nproc >/tmp/n; for i in 1 2 3; do ${program} >/tmp/$i & done; wait; ${program} >/tmp/0; md5sum /tmp/[0-3]; wc -l /tmp/0 /tmp/n; cat /tmp/n`,
    COMMAND_MS,
  );
  const hashes = lines.map((line) => line.match(/^([0-9a-f]{32})  \/tmp\/[0-3]$/)?.[1]).filter(Boolean);
  check(`${arch}: two processors`, status === 0 && lines.at(-1) === '2');
  check(`${arch}: all blocks ran`, lines.some((line) => line.trim() === `${options.blocks} /tmp/0`));
  check(`${arch}: the same in all processes`, hashes.length === 4 && new Set(hashes).size === 1);
  if (failed) console.log(lines.join('\n'));
  console.log(`${arch}: ${options.blocks} blocks of seed ${options.seed}, ${options.runs} runs each, four times: `
    + `${((performance.now() - start) / 1000).toFixed(1)} s`);
  guest.vm.kill();
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);

function check(name, right) {
  console.log(`${right ? 'ok' : 'FAILED'} ${name}`);
  if (right) passed += 1;
  else failed += 1;
}
