// The editor of requests: presets to begin with, a look at what is written, and the
// bytes that go out. What is wrong may be sent as well, so that one sees the answer.
import { encode } from '../tickwire.js';
import { count } from '../format.js';
import { OPS } from './protocol.js';
import { readJSON } from './json.js';

const BYTES_MOST = 65_536; // of a request; hello.limits.request_bytes may say otherwise
const RESUMED = 50; // symbols that the preset names

const $ = (id) => document.getElementById(id);

/** Presets: [word, what it makes of a symbol, its venue's pattern, and what is held]; those that are wrong last. */
const PRESETS = [
  ['subscribe', ({ symbol }) => ({ op: 'subscribe', symbols: [symbol] })],
  ['subscribe to a pattern', ({ pattern }) => ({ op: 'subscribe', symbols: [pattern] })],
  ['subscribe to fields, at a rate', ({ symbol }) => ({ op: 'subscribe', symbols: [symbol], fields: ['bid', 'ask'], rate: 5 })],
  ['subscribe, resuming what is held', ({ symbol, held }) => (held.length ? { op: 'subscribe', symbols: held.map(([name]) => name), resume: held } : { op: 'subscribe', symbols: [symbol], resume: [[symbol, Date.now(), Date.now()]] })],
  ['unsubscribe', ({ symbol }) => ({ op: 'unsubscribe', symbols: [symbol] })],
  ['set a rate', ({ symbol }) => ({ op: 'set', symbols: [symbol], rate: 1 })],
  ['pause', () => ({ op: 'pause' })],
  ['resume', () => ({ op: 'resume' })],
  ['list', () => ({ op: 'list' })],
  ['ping', () => ({ op: 'ping' })],
  ['auth', () => ({ op: 'auth', token: 'PASTE.A.TOKEN' })],
  ['an op that is none', () => ({ op: 'snapshot' }), true],
  ['a bad symbol beside a good one', ({ symbol }) => ({ op: 'subscribe', symbols: ['ACORN', symbol, 'sim:NOPE-USD'] }), true],
  ['a field that is none', ({ symbol }) => ({ op: 'subscribe', symbols: [symbol], fields: ['bidd'] }), true],
  ['a bad rate', ({ symbol }) => ({ op: 'subscribe', symbols: [symbol], rate: -1 }), true],
  ['symbols that are no array', ({ symbol }) => ({ op: 'subscribe', symbols: symbol }), true],
  ['a seq to resume that is text', ({ symbol }) => ({ op: 'subscribe', symbols: [symbol], resume: [[symbol, 0, 'seq']] }), true],
  ['no map', () => ['subscribe'], true],
  ['no JSON', ({ symbol }) => `{"op": "subscribe", "symbols": [${symbol}]}`, true],
];

export class Editor {
  /** The node's bound of a request. */
  bytesMost = BYTES_MOST;
  #id = 0;
  #about;
  #send;
  #open = false;

  /** about(): { symbol, pattern, held } for presets; send(data, request). */
  constructor(about, send) {
    this.#about = about;
    this.#send = send;
    for (const wrong of [false, true]) {
      const group = document.createElement('optgroup');
      group.label = wrong ? 'Wrong, to see errors' : 'Requests';
      PRESETS.forEach(([word, , isWrong = false], i) => { if (isWrong === wrong) group.append(new Option(word, String(i))); });
      $('preset').append(group);
    }
    $('preset').addEventListener('change', () => this.preset(Number($('preset').value)));
    $('request').addEventListener('input', () => this.check());
    $('encoding').addEventListener('change', () => this.check());
    $('request').addEventListener('keydown', (e) => { if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) this.#go(false); });
    $('send').addEventListener('click', () => this.#go(true));
    this.preset(0);
  }

  /** Writes a preset under the next id. */
  preset(i) {
    const about = this.#about(), made = PRESETS[i][1]({ ...about, held: about.held.slice(0, RESUMED) });
    const plain = typeof made === 'string' || Array.isArray(made);
    $('request').value = typeof made === 'string' ? made : plain ? JSON.stringify(made) : map({ op: made.op, id: ++this.#id, ...made });
    this.check();
  }

  set open(open) {
    this.#open = open;
    this.check();
  }

  /** Says of what is written whether it is JSON, and where not. */
  check() {
    const text = $('request').value, binary = $('encoding').value === 'msgpack';
    let says, tone = '', request;
    try {
      readJSON(text);
      request = JSON.parse(text);
      const bytes = binary ? encode(request).length : new TextEncoder().encode(text).length;
      says = `${count(bytes)} bytes`;
      const answer = foretell(request, bytes, this.bytesMost);
      if (answer) [says, tone] = [`${says}; ${answer}`, 'warn'];
    } catch (error) {
      [says, tone] = [`Not JSON: ${error.message}`, 'wrong'];
    }
    $('checked').textContent = says;
    $('checked').dataset.tone = tone;
    $('request').setAttribute('aria-invalid', String(tone === 'wrong'));
    $('send').disabled = !this.#open || (tone === 'wrong' && binary);
    $('send').textContent = tone === 'wrong' ? 'Send as it is' : 'Send';
    $('send').title = this.#open ? (tone === 'wrong' && binary ? 'msgpack is made of JSON; as text it can be sent' : 'Ctrl+Enter') : 'Connect first';
    return { text, request, wrong: tone === 'wrong', binary };
  }

  #go(anyway) {
    const { text, request, wrong, binary } = this.check();
    if ($('send').disabled || (wrong && !anyway)) return;
    this.#send(binary ? encode(request) : text, request);
  }
}

/** What the node will say of a request as a whole, as far as one sees it from here. */
function foretell(request, bytes, bytesMost) {
  if (bytes > bytesMost) return `more than the node takes (${count(bytesMost)}): it closes with 1009`;
  if (typeof request !== 'object' || request === null || Array.isArray(request)) return 'no map: the node answers 100 malformed';
  if (!OPS.includes(request.op)) return `the node answers ${typeof request.op === 'string' ? '101 unknown_op' : '100 malformed'}`;
  return '';
}

/** A map with a key a line. */
const map = (o) => `{${Object.entries(o).map(([key, v]) => `\n  ${JSON.stringify(key)}: ${JSON.stringify(v)}`).join(',')}\n}`;
