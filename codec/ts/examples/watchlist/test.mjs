// The watchlist, built, in a browser, with a real node of 500 symbols:
//   tickwire up --sim-symbols 500 --sim-rate 2000
//   TICKWIRE_URL=http://127.0.0.1:8080 npm test
// SCREENSHOTS=dir keeps pictures.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { executablePath, launch, serveApp } from './app.mjs';

const node = process.env.TICKWIRE_URL?.replace(/\/$/, '');
const lacking = !node ? 'TICKWIRE_URL names no node' : !existsSync(executablePath) ? `no browser at ${executablePath}: set CHROMIUM` : null;
const skip = lacking && process.env.CI !== 'true' ? lacking : false;

let app, browser;
before(async () => {
  if (skip) return;
  assert.equal(lacking, null);
  for (const dir of ['../..', '.']) execFileSync('npm', ['run', '-s', 'build'], { cwd: fileURLToPath(new URL(dir, import.meta.url)), stdio: ['ignore', 'ignore', 'inherit'] });
  app = await serveApp();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await app?.stop();
});

/** Waits until a look at the page satisfies a test; says what it saw last. */
async function until(what, look, ok, timeout = 40_000) {
  for (const end = Date.now() + timeout; ; await new Promise((r) => setTimeout(r, 30))) {
    const seen = await look();
    if (ok(seen)) return seen;
    if (Date.now() > end) assert.fail(`${what}: still ${JSON.stringify(seen)}`);
  }
}

test('500 rows fill, move, rest while hidden, and are right when seen again', { skip, timeout: 120_000 }, async () => {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, colorScheme: 'dark' });
  const complaints = [];
  page.on('console', (m) => { if (['error', 'warning'].includes(m.type())) complaints.push(m.text()); });
  page.on('pageerror', (e) => complaints.push(e.stack));
  await page.goto(`${app.url}?node=${node.replace('http', 'ws')}&rate=10`);

  const bids = () => page.locator('.row[data-status="live"]').evaluateAll((rows) => rows.map((row) => row.children[1].textContent));
  const first = await until('500 rows are live', bids, (all) => all.length === 500 && all.every((bid) => /^\d+\.\d+$/.test(bid)));
  await until('prices change', bids, (all) => all.filter((bid, i) => bid !== first[i]).length > 100);
  const updates = async () => parseInt((await page.locator('[data-id=updates]').textContent()).replaceAll(',', ''), 10);
  await until('updates are counted', updates, (n) => n > 500);
  assert.equal(await page.locator('.state').textContent(), 'Live');

  await page.locator('.row[tabindex="0"]').focus();
  for (const key of ['ArrowDown', 'ArrowDown', 'ArrowUp', 'PageDown']) await page.keyboard.press(key);
  assert.equal(await page.evaluate(() => document.activeElement.ariaRowIndex), '23');
  assert.equal(await page.locator('.row[aria-selected="true"]').count(), 1);
  await page.keyboard.press('End');
  assert.equal(await page.evaluate(() => document.activeElement.ariaRowIndex), '501');
  await page.keyboard.press('Home');
  if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/dark.png` });

  const show = (state) => page.evaluate((state) => {
    Object.defineProperty(document, 'visibilityState', { value: state, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  }, state);
  await show('hidden');
  await until('nothing comes', updates, (n) => n === 0);
  const held = await bids();
  await new Promise((r) => setTimeout(r, 1_000));
  assert.deepEqual(await bids(), held);
  await show('visible');

  // Prices go on: each row has to be seen with one that the node has had since, for a page may be late.
  const symbols = (await (await fetch(`${node}/v1/symbols`)).json()).symbols.slice(0, 20), had = symbols.map(() => new Set()), right = new Set();
  await until('the first rows have the prices of the node', async () => {
    const { symbols: now } = await (await fetch(`${node}/v1/snapshot?symbols=${symbols.join()}`)).json();
    symbols.forEach((symbol, i) => had[i].add(now[symbol].bid));
    (await bids()).slice(0, symbols.length).forEach((bid, i) => { if (had[i].has(bid) && bid !== held[i]) right.add(symbols[i]); });
    return symbols.length - right.size;
  }, (wrong) => wrong === 0);
  assert.deepEqual(complaints, [], 'the console complains');

  for (const [width, scheme] of [[1280, 'light'], [390, 'dark']]) {
    await page.setViewportSize({ width, height: 844 });
    await page.emulateMedia({ colorScheme: scheme });
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true, 'the page scrolls sideways');
    if (process.env.SCREENSHOTS) await page.screenshot({ path: `${process.env.SCREENSHOTS}/${scheme}-${width}.png` });
  }
});

test('plain.html needs no build, and no server', { skip, timeout: 90_000 }, async () => {
  const page = await browser.newPage(), complaints = [];
  page.on('console', (m) => complaints.push(m.text()));
  page.on('pageerror', (e) => complaints.push(e.stack));
  await page.goto(`${new URL('../plain.html', import.meta.url)}#${node.replace('http', 'ws')}`);
  const bids = () => page.locator('tbody tr').evaluateAll((rows) => rows.map((row) => row.cells[1].textContent));
  const first = await until('rows fill', bids, (all) => all.length === 500);
  await until('prices change', bids, (all) => all.some((bid, i) => bid !== first[i]));
  assert.equal(await page.locator('caption').textContent(), 'live');
  assert.deepEqual(complaints, [], 'the console complains');
});

test('the plain page waits for its node, and shows its market', { skip, timeout: 90_000 }, async () => {
  const page = await browser.newPage();
  let asked = 0;
  await page.route('**/tickwire.js', (route) => (asked++ === 0 ? route.abort() : route.continue()));
  await page.goto(`${new URL('../plain.html', import.meta.url)}#${node.replace('http', 'ws')}`);
  const bids = () => page.locator('tbody td:nth-child(2)').evaluateAll((cells) => cells.map((cell) => cell.textContent)).catch(() => []); // it loads again
  await until('500 rows', bids, (all) => all.length === 500 && all.every((bid) => /^\d+\.\d+$/.test(bid)));
  assert.deepEqual([asked, await page.locator('caption').textContent()], [2, 'live']);
  await page.close();
});
