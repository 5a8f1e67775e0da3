// The cards on the board: their order, which of them are on screen, and when they are
// drawn. Updates only mark a card; a frame then paints the marked ones that can be
// seen. A card off screen costs its numbers and nothing else.
import { Card } from './card.js';
import { readInk } from './spark.js';

const TICK_MS = 250;
const TICKS_A_FRAME = 8; // slow redraws are spread: no frame pays for all of them
const GAP_MS = 33; // between two paints: faster than that nobody reads
const GAP_MAX_MS = 400;
const SHARE = 3; // a frame that cost 20 ms is followed by 60 ms for everything else
const NEAR = '160px'; // cards this close to the screen are kept painted

export class Deck {
  cards = new Map(); // symbol -> Card; the document has the order
  link = 'lost'; // open, paused or lost
  offsetMs = 0; // node's clock minus ours
  #root;
  #dirty = new Set();
  #slow = new Set(); // cards whose tick is due, the longest waiting first
  #asked = false; // a frame was requested
  #paintedAt = 0;
  #costMs = 5; // of a frame: scripts, style, layout and paint
  #after = new MessageChannel(); // its message comes once the frame is done
  #on;
  #near;
  #boxes;

  /** on: { remove(symbol), open(card) } */
  constructor(root, on) {
    this.#root = root;
    this.#on = on;
    this.#near = new IntersectionObserver((seen) => this.#onNear(seen), { rootMargin: NEAR });
    this.#boxes = new ResizeObserver((seen) => this.#onResize(seen));
    this.#after.port1.onmessage = () => {
      this.#costMs += (performance.now() - this.#paintedAt - this.#costMs) / 4;
    };
    root.addEventListener('click', (e) => {
      const button = e.target.closest('.remove, .details');
      if (!button) return;
      const { symbol } = button.closest('.card').dataset;
      if (button.matches('.remove')) on.remove(symbol);
      else on.open(this.cards.get(symbol));
    });
    root.addEventListener('keydown', (e) => this.#key(e));
    root.addEventListener('focusin', (e) => this.#rove(e.target.closest('.card')));
    addEventListener('tickwire:theme', () => { readInk(); this.redraw(); });
    readInk();
    setInterval(() => this.#tick(), TICK_MS);
  }

  /** Puts new cards in front, in the order given; at the end when asked to. */
  add(symbols, { end = false, mark = false } = {}) {
    const fresh = [];
    for (const symbol of symbols) {
      if (this.cards.has(symbol)) continue;
      const card = new Card(symbol);
      if (mark) card.el.classList.add('new');
      this.cards.set(symbol, card);
      fresh.push(card);
    }
    const elements = fresh.map((card) => card.el);
    if (end) this.#root.append(...elements);
    else this.#root.prepend(...elements);
    for (const card of fresh) {
      this.#near.observe(card.el);
      this.#boxes.observe(card.sparkBox);
    }
    if (!this.#root.querySelector('.card[tabindex="0"]')) this.#rove(this.#root.firstElementChild);
  }

  remove(symbol) {
    const card = this.cards.get(symbol);
    if (!card) return;
    const neighbour = card.el.nextElementSibling ?? card.el.previousElementSibling;
    const held = card.el.contains(document.activeElement);
    const stop = card.el.tabIndex === 0;
    this.#near.unobserve(card.el);
    this.#boxes.unobserve(card.sparkBox);
    this.#dirty.delete(card);
    this.#slow.delete(card);
    this.cards.delete(symbol);
    card.el.remove();
    if (stop && neighbour) this.#rove(neighbour);
    if (held) (neighbour ?? document.getElementById('board')).focus();
  }

  /** Symbols as they stand on the screen. */
  order() {
    return Array.from(this.#root.children, (el) => el.dataset.symbol);
  }

  mark(card) {
    this.#dirty.add(card);
    if (card.visible) this.#ask();
  }

  /** Everything on screen again: the theme, the view or the connection changed. */
  redraw() {
    for (const card of this.cards.values()) {
      this.#dirty.add(card);
      if (card.visible) this.#slow.add(card);
    }
    this.#ask();
  }

  /** Asks for a frame, no sooner than the last one's cost allows: a slow machine stays usable. */
  #ask() {
    if (this.#asked) return;
    this.#asked = true;
    const gap = Math.min(GAP_MAX_MS, Math.max(GAP_MS, SHARE * this.#costMs));
    const wait = this.#paintedAt + gap - performance.now();
    if (wait > 4) setTimeout(() => requestAnimationFrame(() => this.#frame()), wait - 4);
    else requestAnimationFrame(() => this.#frame());
  }

  #frame() {
    this.#asked = false;
    this.#paintedAt = performance.now();
    this.#after.port2.postMessage(null);
    for (const card of this.#dirty) {
      if (!card.visible) continue; // stays marked until it is seen
      this.#dirty.delete(card);
      card.paint(this.link);
    }
    const ms = Date.now();
    let left = TICKS_A_FRAME;
    for (const card of this.#slow) {
      if (left === 0) break;
      this.#slow.delete(card);
      if (!card.visible) continue;
      card.tick(ms, this.offsetMs);
      left--;
    }
    if (this.#slow.size) this.#ask();
  }

  #tick() {
    for (const card of this.cards.values()) {
      card.count();
      if (card.visible) this.#slow.add(card);
    }
    if (this.#slow.size && !document.hidden) this.#ask();
  }

  #onNear(seen) {
    for (const { target, isIntersecting } of seen) {
      const card = this.cards.get(target.dataset.symbol);
      if (!card) continue;
      card.visible = isIntersecting;
      if (!isIntersecting) continue;
      this.#dirty.add(card);
      this.#slow.add(card);
    }
    this.#ask();
  }

  #onResize(seen) {
    for (const { target, contentRect } of seen) {
      const card = this.cards.get(target.closest('.card')?.dataset.symbol);
      if (!card || !contentRect.width) continue; // skipped by content-visibility
      card.sizeSpark(contentRect.width, contentRect.height, Date.now());
    }
  }

  /** One card is in the tab order, with its buttons; arrows move to the others. */
  #rove(el) {
    if (!el || el.tabIndex === 0) return;
    for (const old of this.#root.querySelectorAll('.card[tabindex="0"]')) setStop(old, -1);
    setStop(el, 0);
  }

  #key(e) {
    const el = e.target.closest('.card');
    if (!el || e.altKey || e.ctrlKey || e.metaKey) return;
    if ((e.key === 'Delete' || e.key === 'Backspace') && e.target === el) {
      e.preventDefault();
      this.#on.remove(el.dataset.symbol);
      return;
    }
    if (e.key === 'Enter' && e.target === el) {
      e.preventDefault();
      this.#on.open(this.cards.get(el.dataset.symbol));
      return;
    }
    const all = [...this.#root.children];
    const at = all.indexOf(el);
    const wide = Math.max(1, all.findIndex((other) => other.offsetTop > all[0].offsetTop));
    const to = {
      ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + wide, ArrowUp: at - wide, Home: 0, End: all.length - 1,
    }[e.key];
    if (to === undefined || !all[to]) return;
    e.preventDefault();
    all[to].focus();
  }
}

function setStop(el, index) {
  for (const stop of [el, ...el.querySelectorAll('button')]) stop.tabIndex = index;
}
