// SPDX-License-Identifier: GPL-2.0-or-later
// QEMU's own TCG tests, in guests on our QEMU in Node.
//   node tcg.mjs [--target x86_64,i386,aarch64] [--only NAME,NAME...] [--quick] [--native] [--qemu OUTPUT]
// tcg/exceptions.txt says which are left out, and why; --quick leaves out the slow ones, too. --native runs them on native QEMU
// instead, to tell an engine's failure from a test that can't pass in a guest. Prints `N passed, M failed`.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { bootNative, bootOurs, recipe } from './guests.mjs';

const TEST_MS = 900_000;

const { values: options } = parseArgs({
  options: {
    target: { type: 'string', default: 'x86_64,i386,aarch64' },
    only: { type: 'string' },
    quick: { type: 'boolean', default: false },
    native: { type: 'boolean', default: false },
    qemu: { type: 'string' },
  },
});

/** Lines `TARGET NAME REASON`, with `*` for all targets; the reason `slow` leaves a test out of a quick run only. */
const exceptions = readFileSync(new URL('tcg/exceptions.txt', import.meta.url), 'utf8').split('\n')
  .filter((line) => line && !line.startsWith('#')).map((line) => line.match(/^(\S+)\s+(\S+)\s+(.*)$/).slice(1));

function isLeftOut(target, name) {
  return exceptions.some(([where, what, reason]) => (where === '*' || where === target) && what === name
    && (reason !== 'slow' || options.quick));
}

let passed = 0;
let failed = 0;
for (const target of options.target.split(',')) {
  const guest = options.native ? await bootNative(target, 'tcg-initramfs.cpio')
    : await bootOurs(target, options.qemu ?? recipe('build.sh'), 'tcg-initramfs.cpio');
  const { lines } = await guest.run(`echo tests: $(ls /check/tcg/${target})`, 60_000);
  const all = lines.find((line) => line.startsWith('tests: ')).split(' ').slice(1).filter((name) => !name.endsWith('.ref'));
  const tests = options.only?.split(',') ?? all.filter((name) => !isLeftOut(target, name));
  if (!tests.length) throw new Error(`the initramfs has no tests for ${target}`);
  for (const test of tests) {
    const output = (await guest.run(`/check/tcg/run.sh ${target} ${test}`, TEST_MS)).lines;
    const result = output.find((line) => /^(ok|failed) /.test(line)) ?? `failed ${test}: ${output.join('\n')}`;
    console.log(`${target} ${result}`);
    if (result.startsWith('ok ')) passed += 1; else failed += 1;
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
