// Times the harness as WebAssembly: a line for each round, nanoseconds per byte of ours and of the reference.
import { readFileSync } from "node:fs";

const [file, rounds] = process.argv.slice(2);
const { instance } = await WebAssembly.instantiate(readFileSync(file), {});
const time = (name) => {
  instance.exports[`prepare_${name}`]();
  const start = performance.now();
  const bytes = instance.exports[`run_${name}`]();
  return ((performance.now() - start) * 1e6) / bytes;
};
// V8 compiles anew what runs often.
time("ours");
time("reference");
for (let round = 0; round < Number(rounds); round++) {
  const names = round % 2 ? ["reference", "ours"] : ["ours", "reference"];
  const times = Object.fromEntries(names.map((name) => [name, time(name)]));
  console.log(`${times.ours} ${times.reference}`);
}
