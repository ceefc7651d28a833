// SPDX-License-Identifier: GPL-2.0-or-later
// No function of the emulators is so large that the browser's optimizing compiler, which takes functions as they are, is at it
// for a second while a guest boots (docs/engine.md).
//   node function-sizes.mjs QEMU-OUTPUT
// Prints `N passed, M failed`, one for each emulator.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const LIMIT = 128 * 1024;
const CODE_SECTION = 10;

/** The bytes of each function's body, in the module's order (WebAssembly specification, 5.5.13: Code Section). */
function functionSizes(module) {
  let at = 8;
  const u32 = () => {
    for (let value = 0, shift = 0; ; shift += 7) {
      const byte = module[at++];
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  while (at < module.length) {
    const id = module[at++];
    const size = u32();
    if (id !== CODE_SECTION) {
      at += size;
      continue;
    }
    return Array.from({ length: u32() }, () => {
      const body = u32();
      at += body;
      return body;
    });
  }
  throw new Error('no code section');
}

const [output] = process.argv.slice(2);
let failed = 0;
const modules = readdirSync(output).filter((name) => name.endsWith('.wasm'));
for (const name of modules) {
  const sizes = functionSizes(readFileSync(join(output, name)));
  const largest = sizes.reduce((most, size) => Math.max(most, size), 0);
  const right = largest > 0 && largest <= LIMIT;
  if (!right) failed += 1;
  console.log(`${right ? 'ok  ' : 'FAIL'}  ${name}: the largest of ${sizes.length} functions has ${largest} bytes, at most ${LIMIT}`);
}
console.log(`${modules.length - failed} passed, ${failed} failed`);
process.exit(failed || !modules.length ? 1 : 0);
