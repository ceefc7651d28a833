// SPDX-License-Identifier: GPL-2.0-or-later
// The guest benchmark in Node against native QEMU, for work on the engine; `cargo xtask bench engine` measures in Chromium.
//   node bench.mjs [--arch x86_64,aarch64] [--ms N] [--rows ROW,ROW...] [--qemu OUTPUT]
// Prints ns for an operation on our QEMU and on native QEMU, and ours over native. --ms: how long to measure each row.
import { parseArgs } from 'node:util';
import { ARCHITECTURES, bootNative, bootOurs, recipe } from './guests.mjs';

const ROW_MS = 600_000;

const { values: options } = parseArgs({
  options: {
    arch: { type: 'string', default: ARCHITECTURES.join() },
    ms: { type: 'string', default: '200' },
    rows: { type: 'string' },
    qemu: { type: 'string' },
  },
});
const output = options.qemu ?? recipe('build.sh');
let wrong = 0;

for (const arch of options.arch.split(',')) {
  // One after the other: nothing else is to run while we measure.
  const ours = await bootOurs(arch, output);
  const { lines: all } = await ours.run('/check/bench list', ROW_MS);
  const rows = options.rows?.split(',') ?? all.filter((row) => /^[a-z0-9-]+$/.test(row));
  const mine = await measure(ours, rows);
  ours.vm.kill();
  const native = await bootNative(arch);
  const reference = await measure(native, rows);
  native.process.kill();
  const ratios = [];
  for (const row of rows) {
    const [ns, sum] = mine.get(row);
    const [referenceNs, referenceSum] = reference.get(row);
    if (sum !== referenceSum) wrong += 1;
    ratios.push(ns / referenceNs);
    console.log(`${arch} ${row.padEnd(18)} ${ns.toFixed(2).padStart(14)} ${referenceNs.toFixed(2).padStart(14)} `
      + `${(ns / referenceNs).toFixed(2).padStart(8)}${sum === referenceSum ? '' : '  WRONG RESULT'}`);
  }
  console.log(`${arch} geometric mean ${Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length).toFixed(2)}`);
}
process.exit(wrong ? 1 : 0);

/** A map from each row to [ns, checksum]; rows that come from one run of the functions are measured together. */
async function measure(console, rows) {
  const found = new Map();
  const cold = rows.filter((row) => /^(cold|functions)-/.test(row));
  const commands = rows.filter((row) => !cold.includes(row)).concat(cold.length ? [cold.join(' ')] : []);
  for (const command of commands) {
    const { status, lines } = await console.run(`/check/bench ms=${options.ms} ${command}`, ROW_MS);
    for (const line of lines) {
      const match = line.match(/^([a-z0-9-]+) (\d+\.\d+) ([0-9a-f]{16})$/);
      if (match) found.set(match[1], [Number(match[2]), match[3]]);
    }
    if (status) throw new Error(`${command}: ${lines.join('\n')}`);
  }
  return found;
}
