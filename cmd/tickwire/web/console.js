// The protocol console: starts everything and owns its state, which is one connection at
// a time. It connects when it is told to, shows what comes, and never comes back by
// itself: whoever writes a client wants to see an end. console/ has the rest: session.js
// is the connection, log.js its frames, inspect.js one of them, request.js what is sent.
import { Door, why } from './door.js';
import { Editor } from './console/request.js';
import { Inspector } from './console/inspect.js';
import { Log } from './console/log.js';
import { Session } from './console/session.js';
import { TYPES, closeMeans } from './console/protocol.js';
import { streamURL } from './stream.js';

const $ = (id) => document.getElementById(id);
const page = { session: null, symbols: [], held: [] };
const inspector = new Inspector();
const log = new Log((frame) => inspector.show(frame));
const door = new Door(connect);
const editor = new Editor(about, (data, request) => page.session.send(data, request));

function connect(token) {
  const before = page.session;
  $('ended').hidden = true;
  try {
    page.session = open(token);
  } catch {
    return ended({ code: 1006, refused: { status: 401, reason: 'malformed', error: 'it has a blank, a newline or the like' } });
  }
  before?.close();
  draw();
}

function open(token) {
  const protocols = [$('subprotocol').value, ...(token ? ['bearer.' + token] : [])];
  const session = new Session(streamURL(), protocols, {
    frame: take,
    hello: (hello) => {
      if (session !== page.session) return;
      door.done();
      editor.bytesMost = hello.limits.request_bytes;
      loadSymbols(token);
      draw();
    },
    state: () => { if (session === page.session) draw(); },
    closed: async (frame) => {
      if (!session.hello) frame.refused = await askWhy(token);
      take(frame.refused ? { ...frame, refused: words(frame.refused), summary: `refused: ${words(frame.refused)}` } : frame);
      if (session === page.session) ended(frame);
    },
  });
  return session;
}

function take(frame) {
  log.add(frame);
  if (!log.selected) log.select(frame);
}

/** The connection is over, or was never one: what that means, and whether another token helps. */
function ended({ code, reason, refused }) {
  const { final, why: means } = closeMeans(code);
  const last = final ? 'Final: coming back as you are cannot help.' : 'Not final: connect again, after a random wait.';
  $('ended').textContent = refused ? `No connection: ${words(refused)}.` : `Closed with ${code}: ${means}${reason ? ` ("${reason}")` : ''}. ${last}`;
  $('ended').dataset.tone = final || refused ? 'wrong' : '';
  $('ended').hidden = false;
  $('say').textContent = $('ended').textContent;
  const asks = why(refused ? { code: refused.status, reason: refused.reason } : { code });
  if (asks) door.refuse(asks, refused?.error ?? means);
  draw();
}

const words = ({ status, reason, error }) => `${status}${reason ? ` ${reason}` : ''}, ${error}`;

/** Why there was no upgrade, which a browser does not tell: plain HTTP has the same door. */
async function askWhy(token) {
  try {
    const answer = await symbols(token);
    return answer.ok ? null : { status: answer.status, error: answer.statusText, ...(await answer.json()) };
  } catch {
    return null; // nobody there
  }
}

const symbols = (token) => fetch('v1/symbols', { headers: token ? { Authorization: `Bearer ${token}` } : {}, cache: 'no-store' });

/** Names for presets; what is in the editor stays. */
async function loadSymbols(token) {
  try {
    const answer = await symbols(token);
    if (answer.ok) page.symbols = (await answer.json()).symbols ?? [];
  } catch { /* presets have names that may be none */ }
}

/** What presets are made of: what is held, by this connection or, before it has some, the one before. */
function about() {
  const held = page.session?.positions ?? [];
  if (held.length) page.held = held;
  const symbol = held[0]?.[0] ?? page.symbols[0] ?? 'sim:ACORN-USD';
  return { symbol, pattern: symbol.replace(/:.*/, ':*'), held: page.held };
}

const connected = () => Boolean(page.session && page.session.state !== 'closed');

function draw() {
  const { state = 'idle', hello } = page.session ?? {};
  const shown = state === 'open' && !hello ? 'connecting' : state;
  $('conn').dataset.state = shown === 'closing' ? 'connecting' : shown;
  $('conn-what').textContent = { idle: 'Not connected', connecting: 'Connecting', open: 'Open', closing: 'Closing', closed: 'Closed' }[shown];
  $('conn-more').textContent = shown === 'open' ? hello.node : '';
  const on = connected();
  $('connect').textContent = on ? 'Disconnect' : 'Connect';
  $('connect').classList.toggle('main', !on);
  $('subprotocol').disabled = on;
  editor.open = state === 'open';
}

function setPaused(paused) {
  log.setPaused(paused);
  $('pause').setAttribute('aria-pressed', String(paused));
  $('pause').textContent = paused ? 'Go on' : 'Pause';
}

function onKey(e) {
  if (door.shown || e.ctrlKey || e.metaKey || e.altKey || e.target.matches?.('input, textarea, select')) return;
  const acts = { '/': () => $('text').focus(), p: () => setPaused(!log.paused), t: () => tickwireTheme.toggle() };
  const act = acts[e.key.toLowerCase()];
  if (!act) return;
  e.preventDefault();
  act();
}

const showTheme = () => $('theme').setAttribute('aria-pressed', String(tickwireTheme.now() === 'dark'));

$('type').append(...[...TYPES, 'request', 'close'].map((type) => new Option(type, type)), new Option('errors, refused', 'wrong'));
$('link').addEventListener('submit', (e) => {
  e.preventDefault();
  if (connected()) page.session.close();
  else connect(door.token);
});
$('connect').disabled = false; // before, a form would lead elsewhere
const filter = () => log.filter($('type').value, $('text').value);
for (const id of ['type', 'text']) $(id).addEventListener('input', filter);
$('pause').addEventListener('click', () => setPaused(!log.paused));
$('clear').addEventListener('click', () => log.clear());
$('theme').addEventListener('click', () => tickwireTheme.toggle());
$('skip').addEventListener('click', (e) => {
  e.preventDefault(); // the address's hash may bring a token
  $('frames').focus();
});
addEventListener('keydown', onKey);
addEventListener('tickwire:theme', showTheme);
showTheme();
draw();
filter(); // Firefox keeps what a form had over a reload
loadSymbols(door.token);
