// The page of a node that asks for tokens:
//   tickwire keys keys
//   tickwire up --sim-symbols 6 --sim-rate 20 --token-leeway 0s --token-key keys/public.pem
//   TICKWIRE_URL=http://127.0.0.1:8080/ TICKWIRE_SIGN_KEY=keys/signing.pem node --test token.test.mjs
import assert from 'node:assert/strict';
import { jwt } from '../../../../codec/ts/test/jwt.js';
import { rows } from './console.mjs';
import { cards, fits, live, scenes, shot, symbols, visit } from './page.mjs';

/** Visitors may bring a token; the console may say that the node refused something, and no more. */
const { scene, alone } = scenes({
  timeout: 120_000,
  come: (browser, { token, ...rest }) => visit(browser, { ...rest, hash: token ? `#token=${token()}` : '' }),
  allowed: /\b(401|503)\b|WebSocket connection/,
  lacking: process.env.TICKWIRE_SIGN_KEY ? undefined : 'TICKWIRE_SIGN_KEY names no key: run a node that asks for tokens',
});

const form = (page) => page.getByRole('dialog');
const input = (page) => page.getByLabel('Token', { exact: true });
const asks = (page, title) => form(page).getByRole('heading', { name: title }).waitFor({ timeout: 40_000 });
const kept = (page) => page.evaluate(() => sessionStorage.getItem('tickwire.token'));
const enter = async (page, token) => {
  await input(page).fill(token);
  await page.keyboard.press('Enter');
};

scene('the form fits, in both themes and on a phone', {}, async (page) => {
  await asks(page, 'This node asks for a token');
  for (const [name, width, height] of [['desktop', 1440, 900], ['phone', 390, 844], ['small', 320, 480]]) {
    await page.setViewportSize({ width, height });
    for (const colorScheme of ['dark', 'light']) {
      await page.emulateMedia({ colorScheme });
      await fits(page);
      const box = await form(page).boundingBox();
      assert.ok(box.x >= 0 && box.y >= 0 && box.x + box.width <= width && box.y + box.height <= height, `${name}: ${JSON.stringify(box)}`);
      await shot(page, `token-${name}-${colorScheme}`);
    }
  }
  await enter(page, 'abc');
  await form(page).getByRole('alert').filter({ hasText: 'That is no token' }).waitFor();
  await shot(page, 'token-wrong');
  await page.keyboard.press('Escape');
  await page.locator('#blank').getByRole('heading', { name: 'This node asks for a token' }).waitFor();
  await shot(page, 'token-later');
});

scene('whoever has no token is asked for one, by keyboard alone', {}, async (page) => {
  await asks(page, 'This node asks for a token');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'door-token');
  await page.keyboard.press('Escape');
  assert.equal(await form(page).isVisible(), false);
  assert.equal(await page.locator('#conn').getAttribute('data-state'), 'locked');
  await page.locator('#blank').getByRole('button', { name: 'Enter a token' }).focus();
  await page.keyboard.press('Enter');
  await asks(page, 'This node asks for a token');
  await page.keyboard.press('Enter');
  await form(page).getByText('Paste a token first').waitFor();
  await enter(page, jwt('page', -60));
  await form(page).getByRole('alert').filter({ hasText: /^The token has expired/ }).waitFor();
  assert.equal(await kept(page), null);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'door-token');
  await enter(page, `Bearer ${jwt('page', 600, { symbols: ['sim:A*', 'sim:B*'] })}`);
  await live(page);
  assert.equal(await form(page).isVisible(), false);
  assert.equal(await page.locator('#toast').isVisible(), false);
  assert.deepEqual((await symbols(page)).sort(), ['sim:ACORN-USD', 'sim:BIRCH-USD']);
  assert.ok(!page.url().includes('ey'), page.url());
  await page.reload();
  await live(page);
  assert.equal(await form(page).isVisible(), false);
  assert.equal(await page.evaluate(() => localStorage.getItem('tickwire.token')), null);
});

alone('a token in the address is taken once, and removed', async (browser) => {
  const token = jwt('page', 600);
  const page = await visit(browser, { hash: `#symbols=sim:ELDER-USD&token=${token}&rate=5` });
  try {
    await live(page);
    assert.equal(new URL(page.url()).hash, '#symbols=sim:ELDER-USD&rate=5');
    assert.deepEqual([await symbols(page), await kept(page)], [['sim:ELDER-USD'], token]);
    assert.deepEqual(page.complaints, []);
    await page.evaluate((t) => { location.hash = `token=${t}`; }, jwt('page', 600, { symbols: ['sim:F*'] }));
    await page.locator('.card[data-status="error"] .trouble', { hasText: 'the token does not cover it' }).waitFor();
    await new Promise((r) => setTimeout(r, 500)); // no price that is no more shows again
    assert.equal(await cards(page).first().getAttribute('data-status'), 'error');
    await shot(page, 'token-not-covered');
  } finally {
    await page.context().close();
  }
});

scene('a token that covers no symbol is told, which is not that there are none', { token: () => jwt('page', 600, { symbols: ['other:*'] }) }, async (page) => {
  const says = (title) => page.locator('#blank').getByRole('heading', { name: title }).waitFor();
  await says('The token covers no symbol here');
  for (const [name, width, height] of [['desktop', 1440, 900], ['phone', 390, 844]]) {
    await page.setViewportSize({ width, height });
    for (const colorScheme of ['dark', 'light']) {
      await page.emulateMedia({ colorScheme });
      await fits(page);
      await shot(page, `token-uncovered-${name}-${colorScheme}`);
    }
  }
  await page.keyboard.press('/');
  await page.locator('#hint', { hasText: 'The token covers no symbol here' }).waitFor();
  await page.keyboard.press('Escape');
  await page.route(/readyz/, (route) => route.fulfill({ status: 503 }));
  await says('No symbols yet');
  await page.unroute(/readyz/);
  await page.locator('#blank').getByRole('button', { name: 'Enter a token' }).click();
  await asks(page, 'The token covers no symbol here');
  await enter(page, jwt('page', 600, { symbols: ['sim:A*'] }));
  await live(page);
  assert.deepEqual(await symbols(page), ['sim:ACORN-USD']);
});

scene('a token that ends is told, and another goes on', { token: () => jwt('page', 600) }, async (page) => {
  await live(page); // only then one begins that is to end while it is
  await page.evaluate((t) => { location.hash = `token=${t}`; }, jwt('page', 3));
  const count = await cards(page).count();
  await asks(page, 'The token has expired');
  await page.locator('#toast', { hasText: 'The token has expired' }).waitFor();
  assert.equal(await kept(page), null);
  await shot(page, 'token-expired');
  await page.getByRole('button', { name: 'Not now' }).click();
  await shot(page, 'token-expired-toast');
  await page.setViewportSize({ width: 390, height: 844 });
  await fits(page);
  await shot(page, 'token-expired-toast-phone');
  await page.locator('#toast').getByRole('button', { name: 'Enter a token' }).click();
  await enter(page, jwt('page', 600));
  await live(page);
  assert.equal(await cards(page).count(), count);
});

scene('the rate that a token allows is told, whatever is chosen', { token: () => jwt('page', 600, { rate: 5 }) }, async (page) => {
  await live(page);
  const says = (text) => page.locator('#rate-now').getByText(text, { exact: true }).waitFor();
  await says('at most 5/s, by the token');
  for (const [name, width, height] of [['desktop', 1440, 900], ['phone', 320, 720]]) {
    await page.setViewportSize({ width, height });
    await fits(page);
    await shot(page, `token-rate-${name}`);
  }
  await page.keyboard.press('[');
  for (const _ of [1, 2, 3, 4, 5]) await page.keyboard.press(']');
  await says('at most 2/s');
  await page.keyboard.press('[');
  await says('at most 5/s');
  await page.keyboard.press('[');
  await says('at most 5/s, by the token');
});

scene('a token that has expired is told, and what helps', { token: () => jwt('page', -60) }, async (page) => {
  await asks(page, 'The token has expired');
  await page.keyboard.press('Escape');
  await page.locator('#blank').getByText('Prices come when a new one is entered.').waitFor();
});

const revoking = (page) => page.routeWebSocket(/\/v1\/stream/, (ws) => setTimeout(() => ws.close({ code: 4001, reason: 'the token was revoked' }), 200));
scene('a token that was revoked is told', { token: () => jwt('page', 600), before: revoking }, async (page) => {
  await asks(page, 'The token was revoked');
  assert.equal(await kept(page), null);
});

alone('a place that was lost to a newer connection is taken back with Enter', async (browser) => {
  const hash = `#token=${jwt('one', 600, { symbols: ['sim:A*'], conns: 1, newest: true })}`;
  const first = await visit(browser, { hash });
  await live(first);
  const second = await visit(browser, { hash });
  try {
    await live(second);
    await asks(first, 'A newer connection took this place');
    await shot(first, 'token-replaced');
    await first.keyboard.press('Enter');
    await live(first);
    await asks(second, 'A newer connection took this place');
  } finally {
    await first.context().close();
    await second.context().close();
  }
});

alone('the console has the same door, and the token of the tab', async (browser) => {
  const page = await visit(browser, { file: 'console.html' });
  try {
    await page.getByRole('button', { name: 'Connect', exact: true }).click();
    await asks(page, 'This node asks for a token');
    await rows(page, 'close', 'refused: 401 missing').waitFor();
    await shot(page, 'console-token');
    await enter(page, jwt('page', -60));
    await form(page).getByRole('alert').filter({ hasText: /^The token has expired/ }).waitFor();
    await enter(page, jwt('page', 600));
    await rows(page, 'hello').waitFor();
    assert.equal(await form(page).isVisible(), false);
    await page.reload();
    await page.getByRole('button', { name: 'Connect', exact: true }).click();
    await rows(page, 'hello').waitFor();
    await page.evaluate((t) => { location.hash = `token=${t}`; }, jwt('page', 3));
    await page.locator('#ended', { hasText: 'Closed with 4002: token expired' }).waitFor({ timeout: 40_000 });
    await asks(page, 'The token has expired');
    assert.deepEqual([await kept(page), new URL(page.url()).hash], [null, '']);
  } finally {
    await page.context().close();
  }
});
