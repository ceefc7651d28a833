// SPDX-License-Identifier: GPL-2.0-or-later
// The differential test: the same random code in a guest on our QEMU (in Node) and on native QEMU; see difftest/main.c.
//   node difftest.mjs [--arch x86_64,aarch64] [--seed N] [--blocks N] [--first N] [--runs N] [--level N]
//     [--qemu OUTPUT]
// --qemu names an output of build.sh, finished or not. Prints `N passed, M failed` (in blocks). Of the first block that
// differs it finds the shortest beginning that does, and prints how code, registers and memory differ.
import { parseArgs } from 'node:util';
import { ARCHITECTURES, bootNative, bootOurs, recipe } from './guests.mjs';

const CHUNK = 50; // blocks for each command
const COMMAND_MS = 1_200_000;

const { values: options } = parseArgs({
  options: {
    arch: { type: 'string', default: ARCHITECTURES.join() },
    seed: { type: 'string', default: '1' },
    blocks: { type: 'string', default: '1000' },
    first: { type: 'string', default: '0' },
    runs: { type: 'string', default: '24' },
    level: { type: 'string', default: '2' },
    qemu: { type: 'string' },
  },
});
const output = options.qemu ?? recipe('build.sh');

let passed = 0;
let failed = 0;
for (const arch of options.arch.split(',')) await test(arch);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);

async function test(arch) {
  const both = await Promise.all([bootOurs(arch, output), bootNative(arch)]);
  const end = Number(options.first) + Number(options.blocks);
  let reported = false;
  const start = performance.now();
  for (let first = Number(options.first); first < end; first += CHUNK) {
    const blocks = Math.min(CHUNK, end - first);
    const [ours, reference] = await onBoth(both, `${blocks} first=${first} runs=${options.runs}`);
    if (reference.length !== blocks) throw new Error(`native QEMU printed ${reference.length} lines:\n${reference.join('\n')}`);
    // Hashes tell their block, so that a line that is missing is not taken for one block that differs after the other.
    const wrong = reference.filter((line) => !ours.includes(line));
    if (ours.length !== blocks) console.log(`${arch}: ours printed ${ours.length} of ${blocks} lines:\n${both[0].last.join('\n')}`);
    passed += blocks - wrong.length;
    failed += wrong.length;
    for (const line of wrong) console.log(`${arch} seed ${options.seed} block ${line.split(' ')[0]}: differs`);
    if (wrong.length && !reported) {
      reported = true;
      await report(arch, both, Number(wrong[0].split(' ')[0]));
    }
  }
  console.log(`${arch}: ${options.blocks} blocks of seed ${options.seed}, ${options.runs} runs each, `
    + `${((performance.now() - start) / 1000).toFixed(1)} s`);
}

/** The lines of hashes (or, with `dump`, all lines) that difftest prints on our engine and on the reference. */
async function onBoth(both, args) {
  const command = `/check/difftest ${options.seed} ${args} level=${options.level}`;
  const results = await Promise.all(both.map((console) => console.run(command, COMMAND_MS)));
  both.forEach((console, i) => { console.last = results[i].lines; });
  // What was typed may be echoed again before the output.
  return results.map(({ lines }) => (args.includes('dump')
    ? lines.slice(lines.findIndex((line) => line.startsWith('code')))
    : lines.filter((line) => /^\d+ [0-9a-f]{16}$/.test(line))));
}

async function report(arch, both, block) {
  const differs = async (args) => {
    const [ours, reference] = await onBoth(both, `1 first=${block} ${args}`);
    return ours[0] !== reference[0];
  };
  let runs = options.runs;
  for (const fewer of [1, 2, 4, 8, 16]) {
    if (fewer < runs && await differs(`runs=${fewer}`)) runs = fewer;
  }
  let limit = 0;
  while (limit < 64 && !await differs(`runs=${runs} limit=${limit}`)) limit += 1;
  const args = `1 first=${block} runs=${runs} limit=${limit}`;
  console.log(`${arch}: difftest ${options.seed} ${args} level=${options.level}: the last of its statements is wrong, or what it`
    + ' shows first. Ours (-) and the reference (+):');
  const [ours, reference] = await onBoth(both, `${args} dump`);
  reference.forEach((line, i) => {
    if (line.startsWith('code') || line.startsWith('run')) console.log(`  ${line}`);
    if (line !== ours[i]) console.log(`- ${ours[i]}\n+ ${line}`);
  });
}
