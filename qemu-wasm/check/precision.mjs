// SPDX-License-Identifier: GPL-2.0-or-later
// x87's precision control in a guest: precision.c says what is right.
//   node precision.mjs [--qemu OUTPUT]
import { parseArgs } from 'node:util';
import { bootOurs, recipe } from './guests.mjs';

const { values: options } = parseArgs({ options: { qemu: { type: 'string' } } });

const guest = await bootOurs('x86_64', options.qemu ?? recipe('build.sh'));
const { lines } = await guest.run('/check/precision | tail -n 20', 120_000);
const counts = lines.map((line) => line.match(/^(\d+) passed, (\d+) failed$/)).find(Boolean);
console.log(lines.join('\n'));
process.exit(counts && Number(counts[1]) > 0 && counts[2] === '0' ? 0 : 1);
