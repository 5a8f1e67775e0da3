// In a browser, against a node on loopback: where the package is at home.
import { build } from 'esbuild';
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { chromium } from 'playwright-core';
import { expect, it } from 'vitest';
import { folder } from './installed.js';
import { Peer, until } from './peer.js';

const executablePath = process.env.CHROMIUM || '/usr/bin/chromium';
const skip = !existsSync(executablePath) && process.env.CI !== 'true';

const code = (url: string): string => `
  import { Tickwire } from './src/index.ts';
  import { quoteStore } from './src/store.ts';
  const worker = typeof document === 'undefined', say = (text) => (worker ? postMessage(text) : document.title += text + ';');
  for (const encoding of ['msgpack', 'json']) {
    const t = new Tickwire({ url: '${url}', encoding }), store = quoteStore(t, 'sim:A');
    store.subscribe(() => say((worker ? 'worker' : 'page') + ' ' + encoding + ' ' + store.getSnapshot().text('bid')));
  }
  if (!worker) new Worker('/code.js', { type: 'module' }).onmessage = ({ data }) => say(data);
`;

it.skipIf(skip)(`works in a page and in a worker (chromium)`, async () => {
  const peer = await Peer.start();
  peer.list('sim:A');
  const { outputFiles } = await build({ stdin: { contents: code(peer.url), resolveDir: folder }, bundle: true, format: 'esm', write: false });
  const server = createServer(({ url }, w) => {
    if (url === '/code.js') w.setHeader('Content-Type', 'text/javascript').end(outputFiles[0]!.text);
    else w.setHeader('Content-Type', 'text/html').end('<!doctype html><title></title><script type="module" src="/code.js"></script>');
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update'] });
  try {
    const page = await browser.newPage(), complaints: string[] = [];
    page.on('console', (m) => complaints.push(m.text())).on('pageerror', (e) => complaints.push(String(e)));
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    const said = async (): Promise<string[]> => (await page.title()).split(';').filter(Boolean).sort();
    const all = (bid: string): string[] => ['page json', 'page msgpack', 'worker json', 'worker msgpack'].map((who) => `${who} ${bid}`);
    for (let seen: string[] = []; seen.length < 4; seen = await said()) await page.waitForTimeout(20);
    peer.tick('sim:A', { bid: 107 });
    await until('four connections', () => peer.conns.length === 4);
    for (let seen: string[] = []; seen.length < 8; seen = await said()) await page.waitForTimeout(20);
    expect(await said()).toEqual([...all('1.00'), ...all('1.07')].sort());
    expect(complaints.filter((c) => !c.includes('favicon'))).toEqual([]);
  } finally {
    await browser.close();
    server.close();
    await peer.stop();
  }
}, 90_000);
