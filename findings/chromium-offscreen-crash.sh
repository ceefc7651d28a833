#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Chromium 156: when an offscreen document's process ends, the whole extension is turned off.
#
# An offscreen document (Manifest V3) is a hidden page that a service worker makes and can make anew, so one expects of its crash,
# by memory say, what the crash of a tab or of a service worker does: that page is gone, and the next event brings what is
# needed. But Chromium takes the extension for crashed: pages of it cannot be opened any more, and its service worker is not
# started by anything, until a person has it loaded again. When the document is closed instead, the next message to the service
# worker brings another one. An extension that keeps its state in an offscreen document cannot recover by itself.
#
# Seen with Debian's chromium 156.0.8078.114 and puppeteer-core 25.16.0, headless. Exits with 0 as long as it is so, with 1
# when it has changed. Needs chromium, Node 20 and a package registry.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --prefix "$work" puppeteer-core@25.16.0 >/dev/null
cat >run.mjs <<'SCRIPT'
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import puppeteer from 'puppeteer-core';

const [folder, executablePath] = process.argv.slice(2);
const extension = join(folder, 'extension');
mkdirSync(extension, { recursive: true });
const files = {
  'manifest.json': JSON.stringify({ manifest_version: 3, name: 'probe', version: '1', permissions: ['offscreen'],
    background: { service_worker: 'worker.js' } }),
  // Makes the offscreen document when it is asked to, and answers.
  'worker.js': `chrome.runtime.onMessage.addListener((message, sender, answer) => {
    if (message !== 'start') return;
    chrome.offscreen.createDocument({ url: 'offscreen.html', reasons: ['WORKERS'], justification: 'probe' })
      .catch(() => {}).then(() => answer('started'));
    return true;
  });`,
  'offscreen.html': '<!doctype html><title>offscreen</title>',
  'page.html': '<!doctype html><title>page</title>',
};
for (const [name, text] of Object.entries(files)) writeFileSync(join(extension, name), text);

/** What a new page of the extension gets from the service worker, or why it cannot be opened, after this end of the offscreen document. */
async function after(end) {
  const browser = await puppeteer.launch({
    executablePath, pipe: true, headless: true, enableExtensions: [extension],
    args: ['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking'],
  });
  try {
    const worker = await browser.waitForTarget((target) => target.type() === 'service_worker', { timeout: 60_000 });
    const origin = worker.url().replace('/worker.js', '');
    const open = async () => {
      const page = await browser.newPage();
      const failed = await page.goto(`${origin}/page.html`).then(() => null, (error) => error.message.split(' at ')[0]);
      return failed ?? page.evaluate(`chrome.runtime.sendMessage('start')`);
    };
    const before = await open();
    if (before !== 'started') throw new Error(`before the end: ${before}`);
    const root = await browser.target().createCDPSession();
    const { targetInfos } = await root.send('Target.getTargets', { filter: [{}] });
    const { targetId } = targetInfos.find(({ url }) => url === `${origin}/offscreen.html`);
    if (end === 'close') {
      await root.send('Target.closeTarget', { targetId });
    } else {
      const { sessionId } = await root.send('Target.attachToTarget', { targetId, flatten: true });
      root.connection().session(sessionId).send('Page.crash').catch(() => {});
    }
    await new Promise((resolve) => setTimeout(resolve, 3000));
    return await open();
  } finally {
    await browser.close();
  }
}

const outcomes = { closed: await after('close'), crashed: await after('crash') };
console.log(JSON.stringify(outcomes));
process.exit(outcomes.closed === 'started' && outcomes.crashed !== 'started' ? 0 : 1);
SCRIPT
node run.mjs "$work" "$(command -v chromium)"
