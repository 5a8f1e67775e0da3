// The protocol console in a real browser against a real node, as page.test.mjs is.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { fits, scenes, shot, until, url } from './page.mjs';
import { HELLO, connect, lines, look, open, peer, rows, send, visitConsole } from './console.mjs';

const { scene } = scenes({ timeout: 120_000, come: visitConsole });
const SYMBOL = 'sim:ACORN-USD';
const codec = new URL('../../../../codec/', import.meta.url);
const vectors = (name) => JSON.parse(fs.readFileSync(new URL(`testdata/${name}.json`, codec), 'utf8'));

for (const [format, kind] of [['msgpack', 'binary'], ['json', 'text']]) {
  scene(`${format}: hello comes first, what is asked for is answered, and values are exact`, { scheme: format === 'json' ? 'light' : 'dark' }, async (page) => {
    await open(page, format);
    await rows(page).first().waitFor();
    assert.deepEqual(await rows(page).first().locator('.kind, .type').allTextContents(), [kind, 'hello']);
    await page.getByRole('heading', { name: 'In: hello' }).waitFor();
    assert.equal((await lines(page)).protocol[0], '1');

    // An image that is of the moment at which the node is asked by plain HTTP.
    let image, held;
    for (let id = 1; id < 20 && image?.seq?.[0] !== String(held?.seq); id++) {
      await send(page, { op: 'subscribe', id, symbols: [SYMBOL] }, id % 2 ? 'json' : 'msgpack');
      await rows(page, 'reply', `subscribe ${id}: 1 result`).waitFor();
      held = (await (await fetch(`${url}v1/snapshot?symbols=${SYMBOL}`)).json()).symbols[SYMBOL];
      await until('an image', () => rows(page, 'data', '1 image').count(), (n) => n >= id);
      await look(page, rows(page, 'data', '1 image').nth(id - 1));
      image = await lines(page, 'update 1');
    }
    for (const [name, v] of Object.entries(held)) assert.equal(image[name]?.[0], String(v), name);
    if (format === 'msgpack') {
      assert.deepEqual([image.id[1], image.flags, image.mask[0]], [SYMBOL, ['1', 'IMAGE: replaces everything: fields not in the mask are absent'], '0x7ffff']);
      assert.equal(image.bid[1], `${held.bid.replace(/^0*\.?0*|\./g, '')} × 10${String(-held.price_scale).replace(/./g, (c) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[c] ?? '⁻')}`);
    }
    await look(page, rows(page, 'data', '1 update').first());
    const delta = await lines(page, 'update 1');
    assert.equal(delta.history, undefined);
    for (const name of ['bid', 'ask', 'last', 'vwap'].filter((field) => delta[field])) assert.equal(delta[name][0].split('.')[1].length, held.price_scale, name);

    await look(page, rows(page, 'request').first());
    assert.deepEqual([(await lines(page)).op[0], await rows(page, 'request').first().locator('.way').textContent()], ['subscribe', 'out']);
    await page.getByRole('button', { name: 'Disconnect' }).click();
    await page.locator('#ended', { hasText: 'Closed with 1000: the client closed. Not final' }).waitFor();
    await rows(page, 'close').waitFor();
    await shot(page, `console-${format}`);
  });
}

scene('an element is marked in the bytes, and both are copied', {}, async (page) => {
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await open(page);
  const copied = () => page.evaluate(() => navigator.clipboard.readText());
  const marked = () => page.evaluate(() => [...CSS.highlights.get('element')].map(String));
  await page.locator('#tree .line', { hasText: /^type/ }).click();
  assert.deepEqual([await marked(), await page.locator('#raw-what').textContent()], [['01', '.'], '1–1 · 1 byte · fixint']);
  await page.locator('#tree .line', { hasText: /^protocol/ }).click();
  assert.deepEqual((await marked())[0], '01');
  await page.getByRole('button', { name: 'Copy hex' }).click();
  await page.getByRole('button', { name: 'Copied' }).waitFor();
  assert.match(await copied(), /^9201[0-9a-f]+$/);
  await page.getByRole('button', { name: 'Copy JSON' }).click();
  const hello = await until('JSON', async () => JSON.parse((await copied()).replace(/^\d+$/, '{}')), (m) => m.type === 'hello');
  assert.deepEqual([hello.protocol, hello.fields[0]], [1, 'bid']);
  await page.evaluate(() => { document.querySelector('#connect').textContent = 'Trennen'; }); // as a browser that translates does
  await page.locator('#connect').click();
  await page.locator('#conn[data-state="closed"]').waitFor();
});

scene('wrong requests are told before they are sent, and their errors explained', {}, async (page) => {
  await open(page);
  await send(page, 'an op that is none', 'msgpack');
  assert.match(await page.locator('#checked').textContent(), /the node answers 101 unknown_op/);
  await look(page, rows(page, 'error', '101 unknown_op'));
  assert.deepEqual((await lines(page)).code, ['101', 'unknown_op: an op that is not in section 5. The same will fail again.']);
  await send(page, 'a bad symbol beside a good one');
  await look(page, rows(page, 'reply', '3 results, 2 errors: 110 bad_symbol, 111 unknown_symbol'));
  const text = await page.locator('#tree').innerText();
  for (const part of ['not venue:NAME of at most 64', 'not on the board, so far. It may succeed later']) assert.ok(text.includes(part), text);
  await send(page, 'no map', 'msgpack');
  await rows(page, 'error', '100 malformed').waitFor();
  await page.getByLabel('Preset').selectOption({ label: 'no JSON' });
  assert.equal(await page.locator('#checked').textContent(), 'Not JSON: line 1, column 33: a value is due, not s');
  assert.equal(await page.locator('#send').isDisabled(), true, 'msgpack cannot say it');
  await page.getByLabel('Sent as').selectOption('json');
  await page.getByRole('textbox', { name: 'Request' }).press('Control+Enter');
  await page.getByRole('button', { name: 'Send as it is' }).click();
  await until('another', () => rows(page, 'error', '100 malformed').count(), (n) => n === 2);
  assert.equal(await rows(page, 'request', 'not JSON').count(), 1, 'the keyboard sends only what is JSON');
  await shot(page, 'console-errors');
});

scene('every preset is what the node takes, and what is held is resumed', {}, async (page) => {
  await open(page);
  const presets = await page.locator('#preset optgroup').first().locator('option').allTextContents();
  const ops = new Set();
  for (const name of presets) { // an answer is looked for at once: only 500 frames are kept
    await send(page, name);
    const { op } = JSON.parse(await page.getByRole('textbox', { name: 'Request' }).inputValue());
    ops.add(op);
    if (op === 'auth') await rows(page, 'error', '131 token_refused').last().waitFor();
    else await rows(page, 'reply', new RegExp(`reply${op} \\d`)).last().waitFor();
  }
  assert.deepEqual([...ops].sort(), ['auth', 'list', 'pause', 'ping', 'resume', 'set', 'subscribe', 'unsubscribe']);
  await send(page, 'subscribe to a pattern');
  await rows(page, 'data', /\d+ images/).last().waitFor();
  await page.getByRole('button', { name: 'Disconnect' }).click();
  await page.locator('#conn[data-state="closed"]').waitFor();
  await open(page, 'json');
  await page.getByRole('button', { name: 'Clear' }).click();
  await send(page, 'subscribe, resuming what is held');
  await look(page, rows(page, 'reply', /subscribe \d+: \d+ results/).first());
  await rows(page, 'request', /resume \d\d/).waitFor();
  await rows(page, 'data').first().waitFor();
  assert.equal(await rows(page, 'data', 'image').count(), 0, 'resumed, not imaged');
});

scene('frames are filtered, held, and cleared', {}, async (page) => {
  await open(page);
  await send(page, { op: 'subscribe', id: 1, symbols: ['sim:A*', 'sim:B*'] });
  await until('data', () => rows(page, 'data').count(), (n) => n > 5);
  const types = () => page.locator('#frames .type').allTextContents();
  await page.getByLabel('Type').selectOption('All but data');
  await until('no data', types, (all) => all.join() === 'hello,request,reply');
  await page.getByLabel('Type').selectOption('reply');
  await until('replies', types, (all) => all.join() === 'reply');
  await page.getByLabel('Type').selectOption('');
  await page.locator('body').press('/');
  await page.keyboard.type('birch');
  await until('one symbol', () => page.locator('#frames .says').allTextContents(), (all) => all.length > 2 && all.every((says) => /BIRCH|subscribe/.test(says)));
  await page.getByLabel('Text', { exact: true }).fill('no such text');
  await page.getByText('No frame passes the filter.').waitFor();
  await page.getByLabel('Text', { exact: true }).fill('');
  await page.getByRole('button', { name: 'Pause' }).click();
  await until('it is counted', () => page.locator('#count').textContent(), (text) => /paused, \d+ came since/.test(text));
  const held = await rows(page).count();
  await until('more', () => page.locator('#count').textContent(), (text) => Number(/(\d+) came/.exec(text)[1]) > 10);
  assert.equal(await rows(page).count(), held);
  await page.locator('#frames').focus();
  for (const [key, n] of [['Home', 0], ['ArrowDown', 1], ['ArrowDown', 2], ['ArrowUp', 1], ['End', held - 1]]) {
    await page.keyboard.press(key);
    assert.equal(await rows(page).nth(n).getAttribute('aria-selected'), 'true', key);
  }
  await page.getByRole('button', { name: 'Go on' }).click();
  await until('it goes on', () => rows(page).count(), (n) => n > held + 5);
  await page.getByRole('button', { name: 'Clear' }).click();
  await until('cleared', () => rows(page).count(), (n) => n < held);
});

const flood = (ws) => {
  ws.send(HELLO);
  for (let i = 0; i < 700; i++) ws.send(JSON.stringify({ type: 'lag', blocked_ms: i }));
};
scene('the newest 500 are kept, and followed unless one looks back', { before: peer(flood) }, async (page) => {
  await open(page, 'json');
  await page.locator('#count', { hasText: '500 frames · 201 dropped, 500 kept' }).waitFor();
  assert.equal(await rows(page).count(), 500);
  assert.match(await rows(page).last().textContent(), /699 ms/);
  const away = () => page.locator('#frames').evaluate((el) => el.scrollHeight - el.clientHeight - el.scrollTop);
  assert.ok(await away() < 2);
  await page.locator('#frames').evaluate((el) => { el.scrollTop = 1000; });
  await page.getByRole('button', { name: 'Newest' }).click();
  await until('at the end', away, (px) => px < 2);
  assert.equal((await lines(page)).node[0], 'peer', 'hello is gone from the log, and looked at still');
});

const wrong = (ws) => {
  ws.send(HELLO);
  ws.send(Buffer.from('9300cf00061f34be70ccda', 'hex'));
  ws.send('{"type":"data","sent_at":1,"updates":[{"symbol":"x","seq":1}]}');
  ws.send(Buffer.from('9300019507010001c3', 'hex'));
  ws.send('{"type":"lag","blocked_ms":7}');
  setTimeout(() => ws.close({ code: 1012, reason: 'restart' }), 500);
};
scene('what a client refuses is shown in red, and the connection stays', { before: peer(wrong) }, async (page) => {
  await connect(page, 'json'); // it is not open for long
  for (const kind of ['truncated', 'range', 'type']) await rows(page, 'data', `refused: ${kind}`).waitFor();
  await rows(page, 'lag').waitFor();
  await look(page, rows(page, 'data', 'truncated'));
  await page.locator('#refusal', { hasText: 'A client refuses this, as truncated: the bytes end too early.' }).waitFor();
  await page.locator('#tree .line[data-tone="wrong"]', { hasText: 'the bytes end here' }).waitFor();
  await page.locator('#ended', { hasText: 'Closed with 1012: the node restarts ("restart"). Not final' }).waitFor();
  await shot(page, 'console-refused');
});

scene('tables are those of PROTOCOL.md, and its vectors are read', {}, async (page) => {
  const text = fs.readFileSync(new URL('PROTOCOL.md', codec), 'utf8');
  const table = (pattern) => [...text.matchAll(pattern)].map((m) => m.slice(1));
  const found = await page.evaluate(async ({ valid, invalid }) => {
    const { ERRORS, CLOSES, FIELD_KINDS, KEYS, OPS, TYPES } = await import('./console/protocol.js');
    const { explain } = await import('./console/explain.js');
    const { FIELDS } = await import('./tickwire.js');
    const session = { fields: FIELDS, names: new Map(), scale: () => undefined };
    const bytes = (v) => (v.encoding === 'json' ? v.text : Uint8Array.from((v.hex ?? '').match(/../g) ?? [], (pair) => parseInt(pair, 16)));
    const all = (list) => list.flatMap((line) => [line, ...all(line.lines?.() ?? [])]);
    const read = (v) => all(explain({ data: bytes(v), kind: v.encoding === 'json' ? 'text' : 'binary', out: v.kind === 'request', type: v.value?.type, session, n: 1 }));
    return {
      errors: Object.entries(ERRORS).map(([code, [name, retry]]) => [code, name, retry ? 'yes' : 'no']),
      closes: Object.entries(CLOSES).map(([code, [final]]) => [code, final ? 'yes' : 'no']),
      kinds: Object.entries(FIELD_KINDS), ops: OPS, types: TYPES,
      keys: ['hello', 'reply', 'heartbeat', 'lag', 'drain'].flatMap((type) => Object.keys(KEYS[type]).map((key) => `${type} ${key}`)),
      wrong: valid.filter((v) => read(v).some((line) => line.tone === 'wrong' || line.at === undefined)).map((v) => v.name),
      values: valid.filter((v) => v.name === 'data_image').map((v) => read(v).filter((line) => line.key === 'bid').map((line) => line.text)),
      invalid: invalid.map(read).length,
    };
  }, { valid: vectors('valid').filter((v) => v.kind !== 'entry'), invalid: vectors('invalid').filter((v) => v.kind !== 'entry') });
  assert.deepEqual(found.errors, table(/^\| (1\d\d) \| (\w+) \| (yes|no) \|/gm));
  assert.deepEqual(found.closes, table(/^\| ([14]\d{3}) (?:\\\* )?\| (yes|no) \|/gm));
  assert.deepEqual(found.kinds, table(/^\| \d{1,2} \| (\w+) \| (\w+) \| \w* ?\|$/gm));
  assert.deepEqual(found.types, table(/^\| [0-6] \| (data|hello|reply|heartbeat|lag|drain|error) \|/gm).flat());
  assert.deepEqual(found.ops, table(/^\| (\w+) \| (?:symbols|token)?[\w,? ]*\| [^|]+\|$/gm).flat().filter((op) => found.ops.includes(op)));
  const told = table(/^\| (hello|reply|heartbeat|lag|drain) \| ([\w, ]+) \|/gm).flatMap(([type, keys]) => keys.split(', ').map((key) => `${type} ${key}`));
  assert.deepEqual(told.filter((key) => !found.keys.includes(key)), [], 'keys without a meaning');
  assert.deepEqual([found.wrong, found.values], [[], [['61837.63'], ['61837.63']]]);
});

scene('it fits, wide and narrow, and everything has a name', { scheme: 'light' }, async (page) => {
  await fits(page);
  await page.getByRole('link', { name: 'Board' }).click();
  await page.getByRole('link', { name: 'Protocol console' }).click();
  await open(page);
  await send(page, 'a bad symbol beside a good one');
  await look(page, rows(page, 'reply'));
  for (const [width, height] of [[1600, 900], [1000, 760], [380, 800]]) {
    await page.setViewportSize({ width, height });
    await fits(page);
    await shot(page, `console-${width}`);
  }
  const nameless = await page.evaluate(() => [...document.querySelectorAll('a, button, input, select, textarea, [role="listbox"], [role="group"], section')]
    .filter((el) => !(el.ariaLabel || el.labels?.length || (el.matches('a, button') && el.textContent.trim()) || document.getElementById(el.getAttribute('aria-labelledby'))?.textContent))
    .map((el) => el.outerHTML.slice(0, 80)));
  assert.deepEqual(nameless, []);
  const ids = await page.evaluate(() => [...document.querySelectorAll('[id]')].map((el) => el.id));
  assert.equal(new Set(ids).size, ids.length, 'an id twice');
});
