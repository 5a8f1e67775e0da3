// The page in a real browser against a real node. In a shell each:
//   tickwire up --venue sim
//   TICKWIRE_URL=http://127.0.0.1:8080/ npm test
// SCREENSHOTS=dir keeps pictures.
import assert from 'node:assert/strict';
import { card, cards, fits, live, number, prices, scenes, shot, symbols, until, visit } from './page.mjs';

const { scene, alone } = scenes({ timeout: 120_000 });
const pause = (ms) => new Promise((r) => setTimeout(r, ms));

scene('a first visit shows some symbols, live and moving', {}, async (page) => {
  await live(page);
  const shown = await symbols(page);
  assert.ok(shown.length >= 1 && shown.length <= 12, `${shown.length} cards`);
  const from = await prices(page);
  await until('prices change', () => prices(page), (now) => now.some((p, i) => p !== from[i]));
  await until('updates are counted', () => number(page, 'delivered'), (n) => n > 0);
  const first = cards(page).first();
  assert.match(await first.locator('.bid b').textContent(), /^[\d,]+(\.\d+)?$/);
  assert.match(await first.locator('.spread b').textContent(), /bp$/);
  assert.match(await first.locator('.rate-is').textContent(), /\/s$/);
  await until('latency is known', () => number(page, 'latency'), Number.isFinite);
  assert.match(await page.title(), /Tickwire/);
  await pause(3000); // the lines need a few seconds to be lines
  await shot(page, 'desktop-dark');
});

scene('symbols are found, added, removed, brought back and remembered', { hash: '#symbols=' }, async (page) => {
  await page.getByText('Nothing on the board').waitFor();
  await shot(page, 'empty');
  await page.keyboard.press('/');
  const options = page.locator('#matches [role="option"]');
  await options.first().waitFor();
  const some = await options.evaluateAll((all) => all.slice(0, 3).map((li) => li.textContent));
  assert.ok(some.length > 0);

  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await live(page);
  const [added] = await symbols(page);
  assert.ok(new URL(page.url()).hash.includes(added), 'the address names the symbol');

  await page.keyboard.type(added);
  assert.equal(await options.count(), 1, 'a full name finds one symbol');
  assert.match(await options.first().getAttribute('class'), /on/);
  await page.keyboard.press('Escape');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  await shot(page, 'search');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Escape');
  await until('a second card', () => cards(page).count(), (n) => n === 2);

  await card(page, added).focus();
  await page.keyboard.press('Delete');
  assert.equal(await card(page, added).count(), 0);
  await page.getByRole('button', { name: 'Undo' }).click();
  assert.equal(await card(page, added).count(), 1);
  await card(page, added).hover();
  await card(page, added).locator('.remove').click();
  assert.equal(await card(page, added).count(), 0);

  const left = await symbols(page);
  await page.reload();
  await live(page);
  assert.deepEqual(await symbols(page), left);
});

scene('a pattern adds all that it matches, and Enter takes nothing away', { hash: '#symbols=' }, async (page) => {
  await page.getByText('Nothing on the board').waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('sim:*');
  await page.locator('#matches [role="option"][aria-selected="true"]', { hasText: 'Add all' }).waitFor();
  await page.keyboard.press('Enter');
  const all = await until('all are there', () => cards(page).count(), (n) => n > 12);
  await page.keyboard.press('Enter');
  await page.keyboard.press('Escape');
  assert.equal(await page.locator('#drop').isVisible(), false);
  assert.equal(await cards(page).count(), all);
  await page.getByRole('button', { name: 'Undo' }).click(); // while it is there
  assert.equal(await cards(page).count(), 0);
  await page.getByText('Nothing on the board').waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('sim:*');
  await page.locator('#matches [role="option"]', { hasText: 'Add all' }).click();
  await until('all are back', () => cards(page).count(), (n) => n === all);
  await live(page);
});

const slowFrames = (page) => page.addInitScript(() => { requestAnimationFrame = (frame) => setTimeout(frame, 150); });
scene('on a slow machine no card in sight is left out', { width: 1800, height: 2000, hash: '#symbols=', before: slowFrames }, async (page) => {
  await page.keyboard.press('/');
  await page.keyboard.type('sim:*');
  await page.locator('#matches [role="option"]', { hasText: 'Add all' }).click();
  await live(page);
  const bare = () => page.locator('.rate-is').evaluateAll((all) => all.filter((el) => !el.textContent).length);
  await until('each has a rate', bare, (n) => n === 0, 5000);
});

scene('an unknown symbol says so in its place', { hash: '#symbols=nowhere:NOPE-USD' }, async (page) => {
  await page.locator('.card[data-status="error"] .trouble', { hasText: /unknown symbol/i }).waitFor({ timeout: 30_000 });
  await page.getByLabel('Search symbols to add').click();
  await page.locator('#matches [role="option"]').first().click();
  await live(page);
  assert.equal(await cards(page).count(), 2);
  await shot(page, 'unknown');
});

scene('a card opens to all its fields', {}, async (page) => {
  await live(page);
  const first = cards(page).first();
  await first.focus();
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog');
  await dialog.waitFor();
  assert.equal(await dialog.locator('h2').textContent(), await first.getAttribute('data-symbol'));
  const fields = await dialog.locator('dl').innerText();
  for (const name of ['Bid', 'VWAP', 'Volume', 'Sequence', 'Received']) assert.ok(fields.includes(name), name);
  const sequence = dialog.locator('dl div', { hasText: 'Sequence' }).locator('dd');
  const from = await sequence.textContent();
  await until('it moves on', () => sequence.textContent(), (now) => now !== from);
  await pause(2000);
  await shot(page, 'fields');
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'hidden' });
});

scene('a lower rate conflates', {}, async (page) => {
  await live(page);
  const raw = await until('many updates', () => number(page, 'delivered'), (n) => n > 2 * 12);
  const rate = page.getByLabel('Updates per symbol');
  await rate.focus();
  await page.keyboard.press('End');
  assert.equal(await page.locator('#rate-now').textContent(), 'at most 1/s');
  const count = await cards(page).count();
  const slow = await until('fewer updates', () => number(page, 'delivered'), (n) => n <= count * 1.3 + 1);
  assert.ok(slow < raw, `${slow}/s of ${raw}/s`);
  await until('conflation is told', () => number(page, 'conflated'), (n) => n > 20);
  await until('cards count it', () => page.locator('.skip-is[data-some]').count(), (n) => n > 0);
  assert.ok(page.url().includes('rate=1'));
  await pause(2000);
  await shot(page, 'one-a-second');
  await rate.focus();
  await page.keyboard.press('Home');
  await until('every update again', () => number(page, 'delivered'), (n) => n > slow * 1.5);
});

scene('pause holds the prices, resume brings the newest', {}, async (page) => {
  await live(page);
  await page.getByRole('button', { name: 'Pause' }).click();
  await page.locator('#conn[data-state="paused"]').waitFor();
  await pause(700);
  const held = await prices(page);
  await pause(2000);
  assert.deepEqual(await prices(page), held);
  assert.equal(await number(page, 'delivered'), 0);
  await shot(page, 'paused');
  await page.getByRole('button', { name: 'Resume' }).click();
  await live(page);
  await until('prices move on', () => prices(page), (now) => now.some((p, i) => p !== held[i]));
});

scene('the theme and the view follow their buttons and stay', { scheme: 'light' }, async (page) => {
  await live(page);
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await pause(3000);
  await shot(page, 'desktop-light');
  await page.getByRole('button', { name: 'Dark theme' }).click();
  assert.notEqual(await ground(), light);
  await page.getByRole('button', { name: 'Rows' }).click();
  await page.reload();
  await live(page);
  assert.equal(await page.locator('html').getAttribute('data-theme'), 'dark');
  assert.equal(await page.locator('#board').getAttribute('data-view'), 'rows');
  await fits(page);
  await pause(3000);
  await shot(page, 'rows-dark');
});

for (const width of [390, 360]) {
  scene(`a phone ${width} px wide has all of it, without scrolling sideways`, { width, height: 844, scheme: 'light', phone: true }, async (page) => {
    await live(page);
    await pause(2000);
    await fits(page);
    await shot(page, `phone-${width}`);
    await page.getByRole('button', { name: 'Rows' }).tap();
    await fits(page);
    await pause(1000);
    await shot(page, `phone-${width}-rows`);
    await page.getByLabel('Search symbols to add').tap();
    await page.locator('#matches [role="option"]').first().waitFor();
    await fits(page);
  });
}

alone('a lost connection is told and comes back by itself', async (browser) => {
  const ours = [];
  const page = await visit(browser, {
    before: (p) => p.routeWebSocket(/\/v1\/stream/, async (ws) => {
      if (ours.length) await pause(2000); // a restart takes its time
      ws.connectToServer();
      ours.push(ws);
    }),
  });
  try {
    await live(page);
    await ours[0].close({ code: 1012, reason: 'restart' });
    await page.locator('#conn[data-state="reconnecting"]').waitFor();
    await page.locator('.card[data-status="stale"]').first().waitFor();
    await shot(page, 'reconnecting');
    await live(page);
    const from = await prices(page);
    await until('prices change again', () => prices(page), (now) => now.some((p, i) => p !== from[i]));
    assert.equal(ours.length, 2);
  } finally {
    await page.context().close();
  }
});
