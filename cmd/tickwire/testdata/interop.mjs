// A subscriber of the npm package ws, or in Chromium, for interop_test.go: what it saw goes
// to stdout as JSON. Packages are those of the folder that it runs in.
//   node interop.mjs ws|chromium SUBPROTOCOL
import fs from 'node:fs';
import { createRequire } from 'node:module';

const [client, subprotocol] = process.argv.slice(2);
const { TICKWIRE_URL: url, TICKWIRE_CA: ca, TICKWIRE_TOKEN: token } = process.env;
const need = createRequire(process.cwd() + '/');
const pause = (ms) => new Promise((r) => setTimeout(r, ms));

/**
 * Subscribes until it has enough, and then leaves, or says that it is ready and waits for the
 * node to end it. It runs in the browser too, so it has nothing but what it is given.
 */
function visit({ url, protocols, leave }, open = (...a) => new WebSocket(...a), decode = null) {
  return new Promise((resolve) => {
    const seen = { protocol: '', extensions: '', images: 0, updates: 0, lags: 0, bytes: 0, code: 0, clean: false, opened: false };
    const socket = open(url, protocols);
    let enough = false;
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('open', () => {
      Object.assign(seen, { protocol: socket.protocol, extensions: socket.extensions, opened: true });
      socket.send('{"op":"subscribe","id":1,"symbols":["sim:*"]}');
    });
    socket.on?.('ping', () => { seen.pings = (seen.pings ?? 0) + 1; });
    socket.addEventListener('message', ({ data }) => {
      seen.bytes += data.length ?? data.byteLength;
      if (typeof data === 'string') {
        const m = JSON.parse(data);
        if (m.type === 'lag') seen.lags++;
        for (const u of m.updates ?? []) u.image ? seen.images++ : seen.updates++;
      } else {
        const [type, , ...updates] = decode(new Uint8Array(data));
        if (type === 4) seen.lags++;
        if (type === 0) for (const [, , flags] of updates) flags & 1 ? seen.images++ : seen.updates++;
      }
      if (enough || seen.images < 24 || seen.bytes < 32 << 10 || (socket.on && !(seen.pings >= 5))) return;
      enough = true;
      leave ? socket.close(1000) : globalThis.ready();
    });
    socket.addEventListener('error', () => {});
    socket.addEventListener('close', (e) => resolve({ ...seen, code: e.code, clean: e.wasClean }));
  });
}

/** What visits with each client. */
const clients = {
  async ws() {
    const { WebSocket } = need('ws');
    const { decode } = need('@msgpack/msgpack');
    const options = { headers: { Authorization: 'Bearer ' + token }, ca: ca && fs.readFileSync(ca), perMessageDeflate: true };
    globalThis.ready = () => console.log('ready');
    return (leave) => visit({ url, protocols: [subprotocol], leave }, (u, p) => new WebSocket(u, p, options), decode);
  },
  async chromium() { // no page can set Authorization
    const { chromium } = need('playwright-core');
    const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'] });
    const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
    await page.exposeFunction('ready', () => console.log('ready'));
    return (leave) => page.evaluate(`(${visit})(${JSON.stringify({ url, protocols: [subprotocol, 'bearer.' + token], leave })})`);
  },
};

const go = await clients[client]();
const visits = [await go(true), await go(false)];
do { // the node is gone, and will be back
  await pause(200);
  visits[2] = await go(true);
} while (!visits[2].opened);
console.log(JSON.stringify(visits));
process.exit(0);
