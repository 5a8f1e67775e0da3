// What the tests say about the protocol console: where things are, and a node that says
// what it is told to.
import { visit } from './page.mjs';

/** Opens the console as a new visitor. */
export const visitConsole = (browser, options) => visit(browser, { ...options, file: 'console.html' });

export async function connect(page, format = 'msgpack') {
  await page.getByLabel('Subprotocol').selectOption('tickwire.v1.' + format);
  await page.getByRole('button', { name: 'Connect', exact: true }).click();
}

export async function open(page, format) {
  await connect(page, format);
  await page.locator('#conn[data-state="open"]').waitFor({ timeout: 30_000 });
}

/** Sends a request, or what a preset of that name has. */
export async function send(page, request, as = 'json') {
  if (typeof request === 'string') await page.getByLabel('Preset').selectOption({ label: request });
  else await page.getByRole('textbox', { name: 'Request' }).fill(JSON.stringify(request));
  await page.getByLabel('Sent as').selectOption(as);
  await page.locator('#send').click();
}

/** Rows of the log: of a type, that say something. */
export const rows = (page, type, text) => page.locator(type ? `#frames .frame[data-type="${type}"]` : '#frames .frame').filter(text ? { hasText: text } : {});

/** Looks at a row. */
export async function look(page, row) {
  await row.waitFor();
  await row.click();
}

/** The lines under one that begins so, as the page shows them: { key: [text, note] }. */
export const lines = (page, key) => page.evaluate((wanted) => {
  const heads = [...document.querySelectorAll('#tree summary')];
  const parent = wanted ? heads.find((el) => el.querySelector('.key').textContent === wanted).nextElementSibling : document.querySelector('#tree');
  return Object.fromEntries([...parent.children].filter((el) => el.matches('.line')).map((el) => {
    const cells = el.matches('details') ? el.firstElementChild : el;
    return [cells.children[0].textContent, [cells.children[1].textContent, cells.children[2].textContent]];
  }));
}, key);

/** A node that answers nothing: what it sends is told by say(ws). */
export const peer = (say) => (page) => page.routeWebSocket(/\/v1\/stream/, (ws) => say(ws));

export const HELLO = JSON.stringify({
  type: 'hello', protocol: 1, node: 'peer', time: 1723161254087898, fields: [], heartbeat: 5000, periods: [0],
  limits: { request_bytes: 65536, request_symbols: 4096, subs: 10000, requests_per_s: 50 }, token_ttl: null,
});
