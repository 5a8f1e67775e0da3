// What the test and the measurement need: a node with a simulated market, the built app, and a browser.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { preview } from 'vite';

const root = fileURLToPath(new URL('.', import.meta.url));

/** Where the browser is; CHROMIUM names another. */
export const executablePath = process.env.CHROMIUM || '/usr/bin/chromium';

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}

/** Runs `tickwire up`, which TICKWIRE names where it is not in PATH. */
export async function startNode(...flags) {
  const port = await freePort();
  const child = spawn(process.env.TICKWIRE || 'tickwire', ['up', `--listen=127.0.0.1:${port}`, '--metrics=off', '--log=warn', ...flags], { stdio: ['ignore', 'inherit', 'inherit'] });
  child.on('error', (e) => { console.error(`${e.message}: build cmd/tickwire, and set TICKWIRE`); process.exit(1); });
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${port}/v1/symbols`).catch(() => undefined);
    if (answer?.ok && (await answer.json()).symbols.length) break;
    await new Promise((r) => setTimeout(r, 50));
  }
  return { pid: child.pid, url: `ws://127.0.0.1:${port}`, stop: () => child.kill('SIGKILL') };
}

/** Serves what `npm run build` made. */
export async function serveApp() {
  const server = await preview({ root, logLevel: 'warn', preview: { host: '127.0.0.1', port: await freePort() } });
  return { url: server.resolvedUrls.local[0], stop: () => server.close() };
}

export function launch() {
  return chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}
