// One symbol on the board. Three moments, each at its own pace:
//   take   an update arrived: numbers only, nothing is drawn
//   paint  a frame is due and the card is on screen: text that differs is written
//   tick   four times a second: rates, latency, the line, what is old
import { Spark } from './spark.js';
import * as format from './format.js';

const STATUS_WORDS = {
  live: 'Live', stale: 'Stale', down: 'Down', halted: 'Halted', closed: 'Closed',
  paused: 'Paused', loading: 'Waiting', error: 'Unknown',
};
const FLASH_MS = 450; // then the changed digits fade back
const RATE_TICKS = 8; // updates/s over the last 2 s
const LATENCY_WEIGHT = 0.1;
const LONG_PRICE = 10; // characters and decimals that still fit at full size
const LONG_DECIMALS = 6;

const template = document.getElementById('card');

export class Card {
  symbol;
  el;
  visible = false;
  dirty = false;
  conflated = 0;
  #ref = {};
  #shown = {}; // what each element says now
  #text = {}; // its text node: writing that is cheaper than replacing it
  #spark;
  #quote = null;
  #fresh = false; // something arrived since the last paint
  #missing = ''; // why the node has no price for us, though it had one
  #joined = false; // an update came since we joined the stream
  #status = 'loading';
  #places = 0; // decimals that its prices have needed so far
  #priceText = '';
  #price = NaN;
  #flashAt = 0;
  #recent = 0;
  #window = new Uint16Array(RATE_TICKS);
  #slot = 0;
  #lateUs = NaN;
  #feedUs = NaN;
  #takenMs = 0;

  constructor(symbol) {
    this.symbol = symbol;
    this.el = template.content.firstElementChild.cloneNode(true);
    for (const el of this.el.querySelectorAll('[data-ref]')) this.#ref[el.dataset.ref] = el;
    const { venue, base, counter, pair } = format.parts(symbol);
    this.name = pair;
    this.el.dataset.symbol = symbol;
    this.el.setAttribute('aria-label', venue ? `${pair} on ${venue}` : pair);
    this.#write('base', base);
    this.#write('counter', counter);
    this.#write('venue', venue);
    this.#write('statusText', STATUS_WORDS.loading);
    this.#ref.remove.setAttribute('aria-label', `Remove ${pair}`);
    this.#ref.remove.title = 'Remove (Delete)';
    this.#ref.details.title = 'All fields (Enter)';
    this.#spark = new Spark(this.#ref.spark);
  }

  get sparkBox() { return this.#ref.spark; }
  get status() { return this.#status; }
  get statusText() { return this.#shown.statusText; }
  get quote() { return this.#quote; }
  get line() { return this.#spark.line; }
  get lateUs() { return this.#lateUs; }
  get feedUs() { return this.#feedUs; }
  get priceText() { return this.#priceText; }
  get changeText() { return `${this.#shown.changePct ?? ''}\u2002${this.#shown.changeAbs ?? ''}`; }
  get way() { return this.#ref.change.dataset.way ?? ''; }
  get places() { return this.#places; }

  /**
   * Keeps what an update brought. Returns how many updates the node merged into it.
   */
  take(quote, { lateUs, feedUs, ms }) {
    const first = !this.#joined;
    const skipped = first ? 0 : quote.conflated;
    this.#joined = true;
    this.#missing = '';
    this.#quote = quote;
    this.#takenMs = ms;
    this.#fresh = true;
    this.#recent++;
    this.conflated += skipped;
    if (!first) { // an image is as old as the last trade: its age says nothing of the way
      this.#lateUs = blend(this.#lateUs, lateUs);
      this.#feedUs = blend(this.#feedUs, feedUs);
    }
    this.line.push(middle(quote), ms);
    if (this.#status === 'loading') this.#setStatus('live'); // ends the placeholder's animation, off screen too
    return skipped;
  }

  /** What was missed while we were away or paused was not conflated: counting begins anew. */
  rejoin() {
    this.#joined = false;
  }

  /**
   * The node refused the symbol. A price that was there stays, as what was last known:
   * a node that has just started knows its symbols a moment later. Where it will not come
   * back, no price is shown.
   */
  fail({ code, text, retry }) {
    if (this.#quote && retry) {
      this.#missing = text;
      this.paint('lost');
      return;
    }
    this.#quote = null;
    this.#setStatus('error');
    const colon = text.indexOf(': ');
    const title = document.createElement('b');
    title.textContent = sentence(colon < 0 ? 'refused' : text.slice(0, colon).replaceAll('_', ' '));
    this.#ref.trouble.replaceChildren(title, colon < 0 ? text : text.slice(colon + 2));
    this.#ref.trouble.hidden = false;
    this.#write('statusText', code === 111 ? 'Unknown' : 'Refused');
  }

  /** link: open, paused or lost; without one that is open the newest price may be old. */
  paint(link) {
    const q = this.#quote;
    if (!q) return;
    if (this.#fresh) {
      this.#fresh = false;
      this.#ref.trouble.hidden = true;
      this.#paintPrice(q);
      this.#paintBook(q);
      this.#paintRange(q);
    }
    if (link === 'lost' || this.#missing) this.#setStatus('stale');
    else this.#setStatus(link === 'paused' ? 'paused' : (q.text('status') ?? 'live'));
  }

  #paintPrice(q) {
    const last = q.text('last');
    const price = last == null ? middle(q) : num(q, 'last');
    this.#places = Math.max(this.#places, ...['bid', 'ask', 'last'].map((f) => format.needed(q.text(f))));
    const text = last != null ? format.price(last, this.#places) : format.fixed(price, this.#places + 1);
    this.#write('kind', last == null && Number.isFinite(price) ? 'mid' : '');
    if (text !== this.#priceText) {
      const same = this.#priceText ? commonPrefix(this.#priceText, text) : text.length;
      this.#write('same', text.slice(0, same));
      this.#write('diff', text.slice(same));
      toggle(this.el, 'long', text.length > LONG_PRICE || format.decimals(text) > LONG_DECIMALS);
      if (price !== this.#price && Number.isFinite(this.#price)) this.#flash(price > this.#price ? 'up' : 'down');
      this.#priceText = text;
      this.#price = price;
    }
    const open = num(q, 'open');
    const change = price - open;
    const percent = Number.isFinite(change) && open ? format.signed((change / open) * 100, 2) + '%' : '';
    this.#write('changePct', percent);
    this.#write('changeAbs', Number.isFinite(change) ? format.signed(change, this.#places) : '');
    attr(this.#ref.change, 'way', { '+': 'up', [format.MINUS]: 'down' }[percent[0]] ?? ''); // 0.00% has no colour
  }

  #flash(way) {
    this.#flashAt = this.#takenMs;
    attr(this.#ref.price, 'way', way);
    attr(this.#ref.price, 'flash', way);
  }

  #paintBook(q) {
    const [bid, ask] = [num(q, 'bid'), num(q, 'ask')];
    const [bidSize, askSize] = [num(q, 'bid_size'), num(q, 'ask_size')];
    this.#write('bid', format.price(q.text('bid'), this.#places));
    this.#write('ask', format.price(q.text('ask'), this.#places));
    const sizes = q.scale('bid_size') ?? 0;
    this.#write('bidSize', format.compact(bidSize, sizes));
    this.#write('askSize', format.compact(askSize, sizes));
    const spread = ask - bid;
    this.#write('spreadBps', format.bps((spread / ((ask + bid) / 2)) * 1e4));
    this.#write('spreadAbs', format.fixed(spread, this.#places));
    const weight = bidSize / (bidSize + askSize);
    this.#move('weight', Number.isFinite(weight) ? weight * 100 - 100 : NaN);
  }

  #paintRange(q) {
    const [low, high] = [num(q, 'low'), num(q, 'high')];
    const wide = high > low;
    this.#write('low', format.price(q.text('low'), this.#places));
    this.#write('high', format.price(q.text('high'), this.#places));
    const at = (v) => (wide && Number.isFinite(v) ? clamp(((v - low) / (high - low)) * 100) : NaN);
    this.#move('open', at(num(q, 'open')));
    this.#move('marker', at(this.#price));
  }

  /** Four times a second for cards on screen. */
  tick(ms, offsetMs) {
    this.#write('rate', `${format.perSecond(this.perSecond)}/s`);
    this.#write('skip', format.count(this.conflated));
    toggle(this.#ref.skip.parentElement, 'some', this.conflated > 0);
    this.#write('late', format.duration(this.#lateUs));
    if (ms - this.#flashAt > FLASH_MS) attr(this.#ref.price, 'flash', '');
    this.#spark.draw(ms, this.#dull);
    if (this.#status === 'error' || this.#status === 'loading') return;
    const old = this.#dull && this.#quote ? ageOf(this.#quote, ms + offsetMs) : '';
    this.#write('statusText', old && this.#status === 'stale' ? `Stale ${old}` : STATUS_WORDS[this.#status] ?? this.#status);
    attr(this.#ref.status, 'title', this.#missing || old, true);
    const age = `Node to page ${format.duration(this.#lateUs)}; venue receipt to node's send ${format.duration(this.#feedUs)}`;
    attr(this.#ref.lateBox, 'title', age, true);
  }

  /** Four times a second for every card: the window of the rate moves on. */
  count() {
    this.#window[this.#slot] = this.#recent;
    this.#slot = (this.#slot + 1) % RATE_TICKS;
    this.#recent = 0;
  }

  get perSecond() {
    let sum = 0;
    for (const n of this.#window) sum += n;
    return sum / (RATE_TICKS / 4);
  }

  /** A canvas that changes its size is empty: the line is drawn again before the next frame. */
  sizeSpark(width, height, ms) {
    if (this.#spark.resize(width, height)) this.#spark.draw(ms, this.#dull);
  }

  get #dull() { return !['live', 'halted', 'paused'].includes(this.#status); }

  #setStatus(status) {
    if (status === this.#status) return;
    this.#status = status;
    this.el.dataset.status = status;
    this.#write('statusText', STATUS_WORDS[status] ?? status);
  }

  #write(ref, text) {
    if (this.#shown[ref] === text) return;
    this.#shown[ref] = text;
    if (this.#text[ref]) this.#text[ref].data = text;
    else this.#ref[ref].append((this.#text[ref] = new Text(text)));
  }

  /** Shifts an element by per cent of its own width; NaN hides it. */
  #move(ref, percent) {
    const at = Number.isFinite(percent) ? percent.toFixed(1) : '';
    if (this.#shown[ref] === at) return;
    this.#shown[ref] = at;
    this.#ref[ref].style.transform = at && `translateX(${at}%)`;
    this.#ref[ref].style.visibility = at ? '' : 'hidden';
  }
}

function num(q, field) {
  return q.number(field) ?? NaN;
}

function middle(q) {
  const mid = (num(q, 'bid') + num(q, 'ask')) / 2;
  return Number.isFinite(mid) ? mid : num(q, 'last');
}

/** How long ago the venue last spoke of this symbol. */
function ageOf(q, ms) {
  const us = ms * 1000 - num(q, 'recv_time');
  return Number.isFinite(us) && us >= 1e6 ? format.duration(us) : '';
}

function blend(old, now) {
  if (!Number.isFinite(now)) return old;
  return Number.isFinite(old) ? old + (now - old) * LATENCY_WEIGHT : now;
}

function commonPrefix(a, b) {
  if (a.length !== b.length) return 0;
  let i = 0;
  while (i < b.length && a[i] === b[i]) i++;
  return i;
}

const clamp = (v) => Math.min(100, Math.max(0, v));
const sentence = (s) => s.charAt(0).toUpperCase() + s.slice(1);

function toggle(el, name, on) {
  if (on) el.dataset[name] = '';
  else delete el.dataset[name];
}

function attr(el, name, value, plain = false) {
  const key = plain ? name : 'data-' + name;
  if (el.getAttribute(key) !== value) el.setAttribute(key, value);
}
