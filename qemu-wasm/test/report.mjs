// SPDX-License-Identifier: GPL-2.0-or-later
// What the tests in Node have in common: a line for each test, and how many passed.

let passed = 0;
let failed = 0;

/** Runs `body`, which throws if the test fails and may return a note; true if it passed. */
export async function test(name, body) {
  const start = performance.now();
  try {
    const note = await body();
    passed += 1;
    console.log(`ok    ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)${note ? `: ${note}` : ''}`);
    return true;
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}: ${error.stack ?? error}`);
    return false;
  }
}

export function check(condition, message) {
  if (!condition) throw new Error(message);
}

/** The promise's value, or an error if it has none after `ms`. */
export function within(promise, ms, what) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms`)), ms); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

export function sleep(ms) {
  return new Promise((resolve) => { setTimeout(resolve, ms); });
}

/** Quits a VM by QMP and checks how it ended. */
export async function quits(vm, qmp) {
  await qmp('quit');
  const code = await within(vm.exited, 20_000, 'exit');
  check(code === 0, `exit code ${code}`);
}

/** Prints `N passed, M failed` and ends the process. */
export function end() {
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}
