// The page: starts everything and owns its state (which symbols, what rate, paused or
// not). The way of a price: wire.js hears it, take() keeps it in its card and in the
// totals, deck.js paints it with the next frame.
import { Deck } from './deck.js';
import { Detail } from './detail.js';
import { Door, why } from './door.js';
import { Search } from './search.js';
import { Totals } from './totals.js';
import { Wire, nowUs } from './wire.js';
import * as format from './format.js';
import * as list from './list.js';

const RATES = [0, 50, 20, 10, 5, 2, 1]; // updates per second and symbol; 0 is every one
const FIRST_SYMBOLS = 12;
const FILLS_MAX = 10; // looks for them, while there are fewer
const RETRY_MS = 1000; // between two looks for symbols
const SYMBOLS_FRESH_MS = 10_000;
const TOAST_MS = 10_000;
const SLOW_MS = 5000; // a lag message colours the connection for so long
const LOOK_MS = 1000; // that a first look may take before a connection begins all the same
const ENDING_S = 60; // before its end a token is said to end

const $ = (id) => document.getElementById(id);
const page = { rate: 0, view: 'cards', paused: false, wanted: null, symbols: null, symbolsAt: 0, slowUntil: 0, againAt: 0, fills: 0, locked: '', bare: '' };
const totals = new Totals();
const detail = new Detail();
const deck = new Deck($('cards'), { remove, open: (card) => detail.open(card) });
const search = new Search({
  has: (symbol) => deck.cards.has(symbol),
  room: () => list.SYMBOLS_MAX - deck.cards.size,
  refresh: () => { if (Date.now() - page.symbolsAt > SYMBOLS_FRESH_MS) loadSymbols(); },
  add, remove,
});
const wire = new Wire({
  quote: take,
  message: (sentUs) => totals.addLatency(nowUs() + wire.offsetUs - sentUs),
  state: onState, refused: onRefused, lag: onLag, hello: onHello, rate: (allowed) => drawRate(allowed),
});
const door = new Door(connect);

// ---- symbols on the board

function add(symbols) {
  const fresh = symbols.filter((s) => !deck.cards.has(s)).slice(0, list.SYMBOLS_MAX - deck.cards.size);
  if (!fresh.length) return;
  const before = deck.order();
  deck.add(fresh, { mark: true, end: fresh.length > 1 }); // many would push away what is watched
  wire.subscribe(fresh, page.rate);
  changed();
  if (fresh.length === 1) say(`${fresh[0]} added`);
  else undoable(`${fresh.length} symbols added`, before);
}

function remove(symbol) {
  if (!deck.cards.has(symbol)) return;
  const before = deck.order();
  drop([symbol]);
  changed();
  undoable(`${symbol} removed`, before);
}

function drop(symbols) {
  for (const symbol of symbols) deck.remove(symbol);
  if (symbols.length) wire.unsubscribe(symbols);
}

function undoable(text, before) {
  toast(text, 'Undo', () => {
    replace(before);
    changed();
  });
}

/** Makes the board these symbols, in this order, keeping the cards that stay. */
function replace(symbols) {
  const wanted = new Set(symbols);
  drop(deck.order().filter((s) => !wanted.has(s)));
  const fresh = symbols.filter((s) => !deck.cards.has(s));
  deck.add(fresh, { end: true });
  const order = deck.order();
  if (symbols.some((s, i) => order[i] !== s)) $('cards').append(...symbols.map((s) => deck.cards.get(s).el));
  if (fresh.length) wire.subscribe(fresh, page.rate);
  drawBlank();
}

/** The user changed the board: the address and the next visit follow. */
function changed() {
  page.fills = 0;
  page.wanted = deck.order();
  list.show({ symbols: page.wanted, rate: page.rate });
  list.save({ symbols: page.wanted, rate: page.rate, view: page.view });
  search.mark();
  drawBlank();
}

// ---- what the node says

function take(quote, sentUs) {
  const card = deck.cards.get(quote.symbol);
  if (!card) return; // removed a moment ago
  const now = nowUs() + wire.offsetUs;
  const recvUs = quote.number('recv_time');
  const feedUs = recvUs == null ? NaN : sentUs - recvUs;
  const skipped = card.take(quote, { ms: Date.now(), lateUs: now - sentUs, feedUs });
  totals.add(skipped);
  if (!quote.image) totals.addHeld(feedUs);
  deck.mark(card);
}

function onRefused(symbol, error) {
  if (symbol == null) {
    if (why(error)) lock(why(error), error.text);
    else toast(error.message, 'Dismiss', () => {});
    return;
  }
  deck.cards.get(symbol)?.fail(error);
}

function onHello({ token_ttl: ttl }) {
  clearTimeout(page.ending);
  page.admitted = ttl != null;
  if (!(ttl > ENDING_S)) return;
  page.ending = setTimeout(() => toast(`The token ends in ${ENDING_S} s`, 'New token', () => door.ask('ending'), true), Math.min(1000 * (ttl - ENDING_S), 2 ** 31 - 1));
}

/** Connects with a token, or '', and asks for the board's symbols. */
function connect(token) {
  page.locked = '';
  if (token) $('toast').hidden = true;
  wire.begin(token);
  if (page.paused) wire.pause();
  wire.subscribe(deck.order(), page.rate);
  if (token) loadSymbols();
  drawConn();
  drawBlank();
}

/** The node lets nobody in without a token, or another one. */
function lock(reason, text) {
  clearTimeout(page.retry);
  if (page.locked) return;
  page.locked = reason;
  clearTimeout(page.ending);
  door.refuse(reason, text);
  if (deck.cards.size) toast(door.title(reason), 'Enter a token', () => door.ask(reason, text), true);
  drawConn();
  drawBlank();
}

function onLag(blockedMs) {
  page.slowUntil = Date.now() + SLOW_MS;
  drawConn(`caught up after ${(blockedMs / 1000).toFixed(1)} s`);
  setTimeout(drawConn, SLOW_MS + 50);
}

function onState(state, info, retryMs) {
  const was = deck.link;
  page.againAt = Date.now() + retryMs;
  setLink();
  if (deck.link === 'lost' ? was !== 'lost' : was === 'lost') {
    if (state === 'open') loadSymbols();
    say(state === 'open' ? 'Connected' : state === 'closed' ? 'Connection closed' : 'Connection lost, reconnecting');
  }
  if (state === 'open') {
    door.done();
    if (page.toastStays) $('toast').hidden = true;
  }
  if (state === 'closed' && !page.locked) toast(info || 'The node closed the connection', 'Reload', () => location.reload(), true);
  drawConn(info);
}

/** Prices come, are held back, or cannot come. What is missed meanwhile is not conflation. */
function setLink() {
  const link = wire.state !== 'open' ? 'lost' : page.paused ? 'paused' : 'open';
  if (link === deck.link) return;
  deck.link = link;
  totals.forget();
  for (const card of deck.cards.values()) card.rejoin();
  deck.redraw();
}

function drawConn(info = '') {
  const slow = Date.now() < page.slowUntil;
  const shown = page.locked ? 'locked' : wire.state !== 'open' ? wire.state : page.paused ? 'paused' : slow ? 'slow' : 'open';
  const words = { connecting: 'Connecting', open: 'Live', reconnecting: 'Reconnecting', closed: 'Closed', paused: 'Paused', slow: 'Slow connection', locked: page.locked === 'replaced' ? 'Replaced' : 'Token needed' };
  $('conn').dataset.state = shown;
  $('conn-what').textContent = words[shown];
  $('conn-more').textContent = shown === 'open' || shown === 'paused' ? wire.node : shown === 'locked' ? '' : info;
  $('conn').title = info || '';
  drawWait();
}

/** Counts down to the next try. */
function drawWait() {
  const seconds = Math.ceil((page.againAt - Date.now()) / 1000);
  if (wire.state === 'reconnecting') $('conn-more').textContent = seconds > 0 ? `again in ${seconds} s` : 'now';
}

/** Asks for the node's symbols until it has some, and takes the first as a start. */
async function loadSymbols() {
  page.symbolsAt = Date.now();
  const { token } = door;
  try {
    const headers = { Accept: 'application/json', ...(token ? { Authorization: `Bearer ${token}` } : {}) };
    const answer = await fetch('v1/symbols', { headers });
    if (token !== door.token) return; // another look is under way
    if (answer.status === 401) {
      const { error, reason } = await answer.json();
      if (wire.state !== 'open') lock(reason, error); // else the stream says so when it must
      return;
    }
    if (!answer.ok) throw new Error(`the node answered ${answer.status} ${answer.statusText}`.trim());
    page.symbols = (await answer.json()).symbols ?? [];
    // Once the node is ready, feeds have published: what does not show is not covered.
    page.bare = !page.symbols.length && page.admitted && (await fetch('readyz')).ok ? 'uncovered' : '';
    page.trouble = '';
    search.setSymbols(page.symbols);
    if (page.bare) search.setTrouble(`${door.title(page.bare)}.`);
    $('query').placeholder = `Search ${page.symbols.length ? format.count(page.symbols.length) + ' ' : ''}symbols to add`;
  } catch (error) {
    page.bare = '';
    page.trouble = error instanceof TypeError ? 'the node does not answer' : error.message;
    search.setTrouble(`No list of symbols: ${page.trouble}.`);
  }
  // A feed that has just started names its symbols one after the other.
  const filling = page.fills > 0 && deck.cards.size < FIRST_SYMBOLS;
  if (filling && page.symbols?.length) {
    page.fills--;
    page.wanted = page.symbols.slice(0, FIRST_SYMBOLS);
    replace(page.wanted);
  }
  drawBlank();
  clearTimeout(page.retry);
  if (filling || !page.symbols?.length) page.retry = setTimeout(loadSymbols, RETRY_MS);
}

function drawBlank() {
  const empty = deck.cards.size === 0;
  $('blank').hidden = !empty;
  $('board').toggleAttribute('data-empty', empty);
  if (!empty) return;
  const busy = page.wanted === null, reason = page.locked || page.bare; // to ask for a token
  $('blank').toggleAttribute('data-busy', busy && !page.bare);
  const [title, text] = reason
    ? [door.title(reason), page.locked ? `Prices come when ${reason === 'missing' ? 'it' : 'a new one'} is entered.` : 'It covers none of the symbols that this node has now. One that it covers appears here by itself.']
    : !busy
    ? ['Nothing on the board', 'Search for a symbol above, or start with the first ones this node has.']
    : page.trouble
      ? ['Waiting for the node', `No list of symbols: ${page.trouble}. Trying again.`]
      : page.symbols && wire.state === 'open'
        ? ['No symbols yet', 'The node is up, but no feed has published to it so far. They appear here by themselves.']
        : ['Asking for symbols', ''];
  $('blank-title').textContent = title;
  $('blank-text').textContent = text;
  $('blank-do').hidden = !reason && (busy || !page.symbols?.length);
  $('blank-do').textContent = reason ? 'Enter a token' : `Show ${Math.min(FIRST_SYMBOLS, page.symbols?.length ?? 0)} symbols`;
}

// ---- controls

/** Takes a rate, or the next lower one there is a stop for. */
function setRate(asked) {
  const rate = asked > 0 ? RATES.find((r) => r && r <= asked) ?? RATES.at(-1) : 0;
  const step = RATES.indexOf(rate);
  const moved = rate !== page.rate;
  page.rate = rate;
  const input = $('rate');
  input.value = String(step);
  const word = rate ? `${rate} a second` : 'every one';
  input.setAttribute('aria-valuetext', word);
  input.style.setProperty('--fill', `${(step / (RATES.length - 1)) * 100}%`);
  input.closest('.rate').toggleAttribute('data-on', rate > 0);
  drawRate();
  [...$('stops').children].forEach((stop, i) => stop.classList.toggle('on', i === step));
  if (!moved) return false;
  totals.forget();
  wire.setRate(deck.order(), page.rate);
  return true;
}

const drawRate = (allowed) => { $('rate-now').textContent = format.atMost(page.rate, allowed); };

function chooseRate(rate) {
  if (!setRate(rate)) return;
  if (page.wanted) changed();
  else list.save({ symbols: null, rate: page.rate, view: page.view }); // the first symbols are still to come
}

function setView(view) {
  page.view = view;
  $('board').dataset.view = view;
  $('view').setAttribute('aria-pressed', String(view === 'rows'));
  deck.redraw();
}

function setPaused(paused) {
  page.paused = paused;
  $('pause').setAttribute('aria-pressed', String(paused));
  $('pause-word').textContent = paused ? 'Resume' : 'Pause';
  document.body.toggleAttribute('data-paused', paused);
  if (paused) wire.pause();
  else wire.resume();
  setLink();
  drawConn();
  say(paused ? 'Paused' : 'Resumed');
}

function showTheme() {
  $('theme').setAttribute('aria-pressed', String(tickwireTheme.now() === 'dark'));
}

let toastTimer = 0;
function toast(text, word, act, stay = false) {
  $('toast-text').textContent = text;
  $('toast-do').textContent = word;
  $('toast-do').onclick = () => { $('toast').hidden = true; act(); };
  $('toast').hidden = false;
  say(text);
  clearTimeout(toastTimer);
  page.toastStays = stay;
  if (!stay) toastTimer = setTimeout(() => { $('toast').hidden = true; }, TOAST_MS);
}

/** Tells a screen reader what happened; prices are never read out by themselves. */
function say(text) {
  $('say').textContent = text;
}

function onKey(e) {
  if (detail.shown || door.shown || e.ctrlKey || e.metaKey || e.altKey || e.target.matches?.('input:not([type="range"]), textarea')) return;
  const step = Number($('rate').value);
  const acts = {
    '/': () => search.focus(),
    p: () => setPaused(!page.paused),
    t: () => tickwireTheme.toggle(),
    v: () => $('view').click(),
    '[': () => chooseRate(RATES[Math.max(0, step - 1)]),
    ']': () => chooseRate(RATES[Math.min(RATES.length - 1, step + 1)]),
  };
  const act = acts[e.key.toLowerCase()];
  if (!act) return;
  e.preventDefault();
  act();
}

// ---- start

function wireControls() {
  $('stops').append(...RATES.map((rate, i) => {
    const stop = document.createElement('span');
    stop.textContent = rate ? `${rate}/s` : 'raw';
    stop.style.left = `${(i / (RATES.length - 1)) * 100}%`;
    stop.addEventListener('click', () => chooseRate(rate));
    return stop;
  }));
  $('rate').addEventListener('input', (e) => chooseRate(RATES[Number(e.target.value)]));
  $('pause').addEventListener('click', () => setPaused(!page.paused));
  $('theme').addEventListener('click', () => tickwireTheme.toggle());
  $('view').addEventListener('click', () => {
    setView(page.view === 'rows' ? 'cards' : 'rows');
    list.save({ symbols: page.wanted, rate: page.rate, view: page.view });
  });
  $('skip').addEventListener('click', (e) => {
    e.preventDefault(); // the address's hash is the list of symbols
    $('board').focus();
  });
  $('blank-do').addEventListener('click', () => {
    if (page.locked || page.bare) door.ask(page.locked || page.bare);
    else add(page.symbols.slice(0, FIRST_SYMBOLS));
  });
  addEventListener('keydown', onKey);
  addEventListener('tickwire:theme', showTheme);
  addEventListener('hashchange', () => {
    const asked = list.fromHash();
    if (asked.rate !== null || asked.symbols) setRate(asked.rate ?? 0);
    if (!asked.symbols) return;
    page.fills = 0;
    replace(page.wanted = asked.symbols);
  });
  setInterval(() => {
    deck.offsetMs = wire.offsetUs / 1000;
    if (document.hidden) return;
    drawWait();
    totals.write({ bytes: wire.bytes, clockMs: wire.clockKnown ? deck.offsetMs : null, link: deck.link });
    const first = deck.cards.get($('cards').firstElementChild?.dataset.symbol);
    document.title = first?.priceText ? `${first.priceText} ${first.name} · Tickwire` : 'Tickwire';
  }, 500);
}

const kept = list.load();
wireControls();
showTheme();
setRate(kept.rate);
setView(kept.view);
if (kept.symbols) replace(page.wanted = kept.symbols);
else page.fills = FILLS_MAX;
drawBlank();
// With nothing to show for itself the page looks whether it may, before it connects.
if (door.token) connect(door.token);
else Promise.race([loadSymbols(), new Promise((done) => setTimeout(done, LOOK_MS))]).then(() => page.locked || connect(''));
