// All of one symbol: every field with its exact text, the times, and the line large.
// Written four times a second while it is open.
import { Spark } from './spark.js';
import * as format from './format.js';

const WRITE_MS = 250;

/** What is listed, in order: a title and the text of it. */
const LINES = [
  ['Bid', (q) => format.group(q.text('bid'))],
  ['Ask', (q) => format.group(q.text('ask'))],
  ['Bid size', (q) => format.group(q.text('bid_size'))],
  ['Ask size', (q) => format.group(q.text('ask_size'))],
  ['Last', (q) => format.group(q.text('last'))],
  ['Last size', (q) => format.group(q.text('last_size'))],
  ['Open', (q) => format.group(q.text('open'))],
  ['VWAP', (q) => format.group(q.text('vwap'))],
  ['High', (q) => format.group(q.text('high'))],
  ['Low', (q) => format.group(q.text('low'))],
  ['Volume', (q) => format.group(q.text('volume'))],
  ['Turnover', (q) => format.group(q.text('turnover'))],
  ['Trades', (q) => format.group(q.text('trades'))],
  ['Sequence', (q) => String(q.seq)],
  ['Venue time', (q) => clock(q.number('event_time'))],
  ['Received', (q) => clock(q.number('recv_time'))],
  ['Updates', (q, card) => `${format.perSecond(card.perSecond)}/s`],
  ['Conflated', (q, card) => format.count(card.conflated)],
  ['Feed to node', (q, card) => format.duration(card.feedUs)],
  ['Node to page', (q, card) => format.duration(card.lateUs)],
];

export class Detail {
  #dialog = document.getElementById('detail');
  #canvas = document.getElementById('detail-line');
  #cells = [];
  #card = null;
  #spark = null;
  #timer = 0;

  constructor() {
    const list = document.getElementById('detail-fields');
    for (const [title] of LINES) {
      const pair = document.createElement('div');
      const dt = document.createElement('dt');
      const dd = document.createElement('dd');
      dt.textContent = title;
      pair.append(dt, dd);
      list.append(pair);
      this.#cells.push(dd);
    }
    document.getElementById('detail-close').addEventListener('click', () => this.#dialog.close());
    this.#dialog.addEventListener('click', (e) => { if (e.target === this.#dialog) this.#dialog.close(); }); // the ground around it
    this.#dialog.addEventListener('close', () => { clearInterval(this.#timer); this.#card = null; });
    new ResizeObserver(() => this.#write()).observe(this.#canvas);
  }

  get shown() { return this.#dialog.open; }

  open(card) {
    this.#card = card;
    this.#spark = new Spark(this.#canvas, card.line);
    document.getElementById('detail-name').textContent = card.symbol;
    this.#dialog.showModal();
    this.#write();
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#write(), WRITE_MS);
  }

  #write() {
    const card = this.#card;
    if (!card) return;
    const { quote, status } = card;
    this.#dialog.dataset.status = status;
    document.getElementById('detail-status').textContent = card.statusText;
    document.getElementById('detail-price').textContent = card.priceText || '–';
    document.getElementById('detail-change').textContent = card.changeText;
    document.getElementById('detail-change').dataset.way = card.way;
    LINES.forEach(([, text], i) => {
      const now = quote ? text(quote, card) : '–';
      if (this.#cells[i].textContent !== now) this.#cells[i].textContent = now;
    });
    this.#spark.resize(this.#canvas.clientWidth, this.#canvas.clientHeight);
    this.#spark.draw(Date.now(), status !== 'live');
    const [low, high] = [this.#spark.low, this.#spark.high].map((v) => format.fixed(v, card.places));
    document.getElementById('detail-axis').textContent = `Middle of bid and ask, last 2 minutes: ${low} to ${high}`;
  }
}

/** Microseconds since the epoch as the time of day here, to the millisecond. */
function clock(us) {
  if (us == null) return '–';
  const at = new Date(us / 1000);
  const two = (n) => String(n).padStart(2, '0');
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, '0')}`;
  return at.toDateString() === new Date().toDateString() ? time : `${at.toLocaleDateString()} ${time}`;
}
