// SPDX-License-Identifier: GPL-2.0-or-later
// Programs that know what is right, in a guest: they pass on a processor, too. precision.c, across-pages.c.
//   node processor.mjs [--native] [--qemu OUTPUT]
// --native runs them on native QEMU instead.
import { parseArgs } from 'node:util';
import { bootNative, bootOurs, recipe } from './guests.mjs';

const { values: options } = parseArgs({ options: { qemu: { type: 'string' }, native: { type: 'boolean', default: false } } });

const guest = options.native ? await bootNative('x86_64') : await bootOurs('x86_64', options.qemu ?? recipe('build.sh'));
let failed = false;
for (const program of ['precision', 'across-pages']) {
  const { lines } = await guest.run(`/check/${program} | tail -n 20`, 120_000);
  const counts = lines.map((line) => line.match(/^(\d+) passed, (\d+) failed$/)).find(Boolean);
  console.log(lines.join('\n'));
  failed ||= !counts || Number(counts[1]) === 0 || counts[2] !== '0';
}
process.exit(failed ? 1 : 0);
