// What the tests say about the page: where things are, and how to wait for them.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';

export const url = process.env.TICKWIRE_URL ?? '';
const executablePath = process.env.CHROMIUM || '/usr/bin/chromium';

/** Why the tests cannot run here, or null. CI has to have everything. */
export function missing() {
  if (!url) return 'TICKWIRE_URL names no node: run `tickwire up --venue sim`';
  if (!fs.existsSync(executablePath)) return `no browser at ${executablePath}: set CHROMIUM`;
  return null;
}

function launch() {
  return chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  });
}

/**
 * What makes a file's tests: scene(name, options, body) one with its own visitor, alone(name,
 * body) one that opens what it wants in the browser. come opens the page, if not visit; allowed
 * are complaints of the console that a scene may have; lacking is why all are skipped, in CI too.
 */
export function scenes({ timeout, come = visit, allowed, lacking }) {
  const none = missing(), skip = lacking ?? (none && process.env.CI !== 'true' ? none : false);
  let browser;
  before(async () => {
    if (skip) return;
    assert.equal(none, null);
    browser = await launch();
  });
  after(() => browser?.close());
  const alone = (name, body) => test(name, { skip, timeout }, () => body(browser));
  const scene = (name, options, body) => alone(name, async () => {
    const page = await come(browser, options);
    try {
      await body(page);
      assert.deepEqual(page.complaints.filter((text) => !allowed?.test(text)), [], 'the console complains');
    } finally {
      await page.context().close();
    }
  });
  return { scene, alone };
}

/** Opens the page as a new visitor; what the console complains of is in page.complaints. */
export async function visit(browser, { width = 1440, height = 900, scheme = 'dark', file = '', hash = '', phone = false, before } = {}) {
  const context = await browser.newContext({
    viewport: { width, height }, colorScheme: scheme, deviceScaleFactor: phone ? 2 : 1, hasTouch: phone,
    ignoreHTTPSErrors: true,
  });
  const page = await context.newPage();
  page.complaints = [];
  page.on('console', (m) => { if (m.type() === 'error' || m.type() === 'warning') page.complaints.push(m.text()); });
  page.on('pageerror', (e) => page.complaints.push(e.stack ?? String(e)));
  page.on('response', (r) => { if (r.status() >= 400) page.complaints.push(`${r.status()} ${r.url()}`); });
  await before?.(page);
  await page.goto(url + file + hash);
  return page;
}

export const cards = (page) => page.locator('#cards .card');
export const card = (page, symbol) => page.locator(`#cards .card[data-symbol="${symbol}"]`);

export async function live(page, timeout = 40_000) {
  await page.locator('#conn[data-state="open"]').waitFor({ timeout });
  await page.locator('#cards .card[data-status="live"]').first().waitFor({ timeout });
}

export const symbols = (page) => cards(page).evaluateAll((all) => all.map((el) => el.dataset.symbol));
export const prices = (page) => page.locator('#cards .price').evaluateAll((all) => all.map((el) => el.textContent));

/** The number in a tile: "1,204/s" is 1204. */
export async function number(page, id) {
  const text = await page.locator('#' + id).textContent();
  return Number(text.replace(/[^\d.]/g, '') || NaN);
}

/** Waits until a look at the page satisfies a test; says what it saw last. */
export async function until(what, look, ok, timeout = 40_000) {
  const end = Date.now() + timeout;
  let seen;
  do {
    seen = await look();
    if (ok(seen)) return seen;
    await new Promise((r) => setTimeout(r, 150));
  } while (Date.now() < end);
  assert.fail(`${what}: still ${JSON.stringify(seen)} after ${timeout / 1000} s`);
}

/** Nothing may reach beyond the window's right edge. */
export async function fits(page) {
  const wide = await page.evaluate(() => ({ page: document.documentElement.scrollWidth, window: innerWidth }));
  assert.equal(wide.page, wide.window, 'the page scrolls sideways');
  const out = await page.evaluate(() => [...document.querySelectorAll('.card *, .strip *, .top *, .panel *')]
    .filter((el) => el.getBoundingClientRect().width && el.getBoundingClientRect().right > innerWidth + 0.5 && !el.closest('.skip, .unseen, .track, .weight'))
    .map((el) => el.outerHTML.slice(0, 90)));
  assert.deepEqual(out, [], 'elements beyond the edge');
}

export async function shot(page, name) {
  if (!process.env.SCREENSHOTS) return;
  fs.mkdirSync(process.env.SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: path.join(process.env.SCREENSHOTS, name + '.png') });
}
