// SPDX-License-Identifier: GPL-2.0-or-later
// Runs QEMU's tests/unit/test-coroutine, compiled as the emulators are, in Node.
//   node coroutine.mjs DIRECTORY
// Its test of nesting has 128 coroutines alive at once, each on a thread of its own. Prints `N passed, M failed`.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const LIMIT_MS = 300_000;

const pages = 512 * 16;
const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
const { default: createTest } = await import(pathToFileURL(join(process.argv[2], 'test-coroutine.js')));
let planned = 0;
let passed = 0;

/** Takes in a line of the Test Anything Protocol. */
function read(line) {
  console.log(line);
  planned = Number(line.match(/^1\.\.(\d+)$/)?.[1] ?? planned);
  if (/^ok \d+ /.test(line)) passed += 1;
}

function end(what) {
  const right = what === 0 && planned > 0 && passed === planned;
  if (!right) console.log(`FAILED: it ended with ${what}`);
  console.log(`${passed} passed, ${right ? 0 : Math.max(1, planned - passed)} failed`);
  process.exit(right ? 0 : 1);
}

const late = setTimeout(() => end(`nothing within ${LIMIT_MS} ms`), LIMIT_MS);
const test = await createTest({
  wasmMemory: memory, stdin: () => undefined, print: read, printErr: read,
  onExit: (code) => { clearTimeout(late); end(code); }, onAbort: end,
});
test.callMain(['--tap', '-k']);
