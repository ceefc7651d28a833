// What the page does: one request of each kind, one after the other. `secure` and `raw` are the site's other origins,
// `closed` is one where nobody listens.
async (secure, raw, closed) => {
    const settled = promise => promise.then(() => null, () => null);
    const text = async (url, options) => (await fetch(url, options)).text();
    const post = (name, body, headers) => settled(text('/kind/sent?' + name, {method: 'POST', body, headers}));
    const once = (target, ...types) => new Promise(resolve => types.forEach(type => target.addEventListener(type, resolve, {once: true})));

    for (const name of ['stream', 'plain', 'csv', 'markdown', 'css', 'yaml', 'vtt', 'json', 'script', 'untyped', 'old-plain',
        'short-plain', 'latin-1', 'utf-8', 'utf-8-mark', 'utf-8-broken', 'utf-16', 'shift-jis', 'binary', 'empty', 'none', 'gzip',
        'br', 'range', 'large'])
        await (await fetch('/kind/' + name)).arrayBuffer();
    await fetch('/kind/plain?head', {method: 'HEAD'});
    await text(raw + 'hints');
    await settled(text(secure + 'kind/allowed', {method: 'PUT', headers: {'X-Own': '1'}, body: 'put'}));
    await settled(text(secure + 'kind/refused'));
    await settled(text(secure + 'kind/refused?asked', {headers: {'X-Own': '1'}}));
    await settled(text(closed));
    await text('/moved');

    const abort = new AbortController();
    const endless = await fetch('/kind/endless', {signal: abort.signal});
    await endless.body.getReader().read();
    abort.abort();

    await post('form', new URLSearchParams({name: 'Zoë', city: '東京'}));
    const form = new FormData();
    form.append('name', 'Zoë');
    form.append('file', new File([new Uint8Array([0, 233, 255])], 'file.bin'));
    await post('multipart', form);
    await post('text', 'Zoë 東京');
    await post('blob', new Blob([new Uint8Array([233, 0, 255])]));
    await post('ascii', new Uint8Array([97, 98, 99]));
    await post('latin', new Uint8Array([0xe9]));
    await post('utf', new Uint8Array([0xc3, 0xa9]));
    await post('bytes', new Uint8Array([0, 255, 254, 128, 195]));
    const packed = await new Response(new Blob(['packed '.repeat(20)]).stream().pipeThrough(new CompressionStream('gzip'))).arrayBuffer();
    await post('gzip', packed, {'Content-Encoding': 'gzip'});
    await post('none');
    await settled(text(secure + 'kind/sent?streamed', {method: 'POST', duplex: 'half', body: new Blob(['streamed']).stream()}));

    const socket = new WebSocket('/socket');
    await once(socket, 'open');
    for (const message of ['Zoë 東京', new Uint8Array([1, 233, 255])]) {
        socket.send(message);
        await once(socket, 'message');
    }
    socket.close();
    await once(socket, 'close');
    for (const url of [raw + 'socket', closed + 'socket'])
        await once(new WebSocket(url.replace('http', 'ws')), 'error');

    const events = new EventSource('/kind/stream?events');
    await once(events, 'message');
    await once(events, 'error');
    events.close();
    const early = new EventSource('/kind/endless-stream');
    await once(early, 'said');
    early.close();

    const worker = await navigator.serviceWorker.register('/kind/sw/worker.js');
    for (const script = worker.installing ?? worker.waiting; script && script.state !== 'activated';)
        await once(script, 'statechange');
    const frame = document.createElement('iframe');
    frame.src = '/kind/sw/page';
    document.body.append(frame);
    await once(frame, 'load');
    await frame.contentWindow.fetch('own').then(response => response.text());
    await frame.contentWindow.fetch('through').then(response => response.text());
    await worker.unregister();
    frame.remove();

    const link = document.createElement('a');
    link.href = '/kind/file';
    document.body.append(link);
    link.click();
    await new Promise(resolve => setTimeout(resolve, 500));
    return true;
}
