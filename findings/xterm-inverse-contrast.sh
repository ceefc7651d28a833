#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# @xterm/xterm 6.0.0: a minimum of contrast takes contrast away from inverse text.
#
# Inverse text in the default colours, black on white in a white-on-black terminal, has a contrast of 21:1. With
# `minimumContrastRatio: 4.5`, which is meant to raise what is below, the DOM renderer makes it grey on white, 5.2:1: before it
# asks for the contrast, it has put the foreground's colour in the place of both. The same colours given by number
# (`ESC[30;47m`) stay as they are. `top`, `less` and menus of installers are inverse.
#
# Exits with 0 as long as it is so, with 1 when it has changed. Needs Node with npm and a registry, and Chromium.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --prefix . @xterm/xterm@6.0.0 puppeteer-core@25.1.0
cat >page.html <<'HTML'
<!doctype html>
<link rel="stylesheet" href="node_modules/@xterm/xterm/css/xterm.css">
<pre id="seen"></pre>
<script src="node_modules/@xterm/xterm/lib/xterm.js"></script>
<script>
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  async function look(minimumContrastRatio) {
    const place = document.body.appendChild(document.createElement('div'));
    const theme = { background: '#000000', foreground: '#ffffff' };
    const terminal = new Terminal({ cols: 40, rows: 2, minimumContrastRatio, theme });
    terminal.open(place);
    await new Promise((done) => terminal.write('\x1b[7minverse\x1b[0m \x1b[30;47mnumbered\x1b[0m', done));
    await wait(200);
    const lines = ['inverse', 'numbered'].map((text) => {
      const span = [...place.querySelectorAll('.xterm-rows span')].find((span) => span.textContent === text);
      const { color, backgroundColor } = getComputedStyle(span);
      return `at least ${minimumContrastRatio}: ${text} is ${color} on ${backgroundColor}\n`;
    });
    document.getElementById('seen').textContent += lines.join('');
  }
  window.looked = look(1).then(() => look(4.5));
</script>
HTML
cat >look.mjs <<'NODE'
import { launch } from 'puppeteer-core';
// The sandbox is Chromium's own affair; where it cannot be had (as root), it is left out.
const args = process.getuid() === 0 ? ['--no-sandbox', '--disable-gpu'] : ['--disable-gpu'];
const browser = await launch({ executablePath: process.argv[2], args });
const page = await browser.newPage();
await page.goto(new URL('page.html', import.meta.url).href);
console.log((await page.evaluate(() => window.looked.then(() => document.getElementById('seen').textContent))).trim());
await browser.close();
NODE
chromium --version
seen=$(node look.mjs "$(command -v chromium)")
printf '%s\n' "$seen"
expected='at least 1: inverse is rgb(0, 0, 0) on rgb(255, 255, 255)
at least 1: numbered is rgb(46, 52, 54) on rgb(211, 215, 207)
at least 4.5: inverse is rgb(108, 108, 108) on rgb(255, 255, 255)
at least 4.5: numbered is rgb(46, 52, 54) on rgb(211, 215, 207)'
[[ $seen == "$expected" ]] || {
  printf 'changed; expected:\n%s\n' "$expected" >&2
  exit 1
}
