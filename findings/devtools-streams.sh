#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# Chromium 156's `chrome.devtools.network`: streams that their page has closed, and responses that are still coming.
#
# A page that closes its EventSource when it has what it wants, as clients of language models do after their last message,
# has had a good answer. An extension is told a status of 200 with the error net::ERR_ABORTED, and getContent() gives null:
# what the page has read is only in `_eventSourceMessages`, which is no part of HAR. And an entry of getHAR() whose response
# is still coming looks like a finished one: status 200, no error, nothing that says so. Whoever records takes the first for
# a failure, and the second twice or in part.
#
# Seen with Debian's chromium 156.0.8078.114 and puppeteer-core 25.16.0, headless. Exits with 0 as long as it is so, with 1
# when it has changed. Needs chromium, Node 20 and a package registry.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --prefix "$work" puppeteer-core@25.16.0 >/dev/null
cat >run.mjs <<'SCRIPT'
import { createServer } from 'node:http';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import puppeteer from 'puppeteer-core';

const [folder, executablePath] = process.argv.slice(2);
const extension = join(folder, 'extension');
mkdirSync(extension, { recursive: true });
const files = {
  'manifest.json': JSON.stringify({ manifest_version: 3, name: 'probe', version: '1', devtools_page: 'probe.html' }),
  'probe.html': '<script src="probe.js"></script>',
  'probe.js': `globalThis.seen = [];
    chrome.devtools.network.onRequestFinished.addListener((entry) => entry.getContent((content) => seen.push({
      url: entry.request.url, status: entry.response.status, error: entry.response._error, content,
      messages: entry._eventSourceMessages?.map((message) => message.data) })));
    globalThis.har = () => new Promise((resolve) => chrome.devtools.network.getHAR((har) => resolve(har.entries.map((entry) =>
      [new URL(entry.request.url).pathname, entry.response.status, entry.response._error]))));`,
};
for (const [name, text] of Object.entries(files)) writeFileSync(join(extension, name), text);

const server = createServer((request, response) => {
  if (request.url === '/events') {
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    response.write('data: hello\n\n');
  } else if (request.url === '/slow') {
    response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
    response.write('the beginning');
  } else {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end('<title>page</title>');
  }
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const origin = `http://127.0.0.1:${server.address().port}`;

const browser = await puppeteer.launch({
  executablePath, pipe: true, devtools: true, headless: true, enableExtensions: [extension],
  args: ['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking'],
});
const [page] = await browser.pages();
await page.goto(origin);
const target = await browser.waitForTarget((target) => target.url().endsWith('/probe.html'), { timeout: 60_000 });
const probe = await target.createCDPSession();
/** What an expression in the extension's page comes to, as soon as it is something. */
async function ask(expression) {
  for (;;) {
    const { result } = await probe.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    if (result.value) return result.value;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
await ask('typeof har === "function"');
const received = await page.evaluate(() => new Promise((resolve) => {
  const source = new EventSource('/events');
  source.onmessage = (event) => { source.close(); resolve(event.data); };
}));
const seen = await ask('seen.find((entry) => entry.url.endsWith("/events"))');
await page.evaluate(async () => { globalThis.reader = (await fetch('/slow')).body.getReader(); await reader.read(); });
const pending = await ask('har().then((entries) => entries.find(([path]) => path === "/slow"))');
console.log(`the page received ${JSON.stringify(received)} and closed the stream`);
console.log(`closed stream: status ${seen.status}, error ${seen.error}, content ${JSON.stringify(seen.content)}, messages ${JSON.stringify(seen.messages)}`);
console.log(`response that is still coming, in getHAR: ${JSON.stringify(pending)}`);
await browser.close();
server.closeAllConnections();
server.close();
SCRIPT
chromium --version 2>/dev/null
seen=$(node run.mjs "$work" "$(command -v chromium)")
printf '%s\n' "$seen"
expected='the page received "hello" and closed the stream
closed stream: status 200, error net::ERR_ABORTED, content null, messages ["hello"]
response that is still coming, in getHAR: ["/slow",200,null]'
[[ $seen == "$expected" ]] || {
  printf 'changed; expected:\n%s\n' "$expected" >&2
  exit 1
}
