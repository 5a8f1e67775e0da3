// The log of frames: the newest KEPT of them, filtered, as rows. Frames come faster than
// anybody reads: they are kept at once and drawn with the next animation frame, so that
// those which are dropped before it cost no row, and a page in the background draws
// nothing. A pause holds what is shown; what comes meanwhile is kept behind it.
import { count } from '../format.js';

export const KEPT = 500;
const END = 24; // px from it the list still follows

const $ = (id) => document.getElementById(id);

export class Log {
  paused = false;
  selected = null;
  #kept = [];
  #held = []; // what a pause shows
  #rows = []; // { frame, el }, in the order of their frames
  #drawn = 0; // number of the newest frame that was drawn, or filtered out
  #total = 0; // since it was cleared
  #type = '';
  #text = '';
  #following = true;
  #waiting = false;
  #list = $('frames');
  #select;

  /** select(frame): one is looked at. */
  constructor(select) {
    this.#select = select;
    const list = this.#list;
    list.addEventListener('scroll', () => {
      this.#following = list.scrollHeight - list.scrollTop - list.clientHeight < END;
      $('newest').hidden = this.#following;
    }, { passive: true });
    list.addEventListener('click', (e) => {
      const el = e.target.closest('.frame');
      if (el) this.select(this.#rows.find((row) => row.el === el)?.frame);
    });
    list.addEventListener('keydown', (e) => this.#onKey(e));
    $('newest').addEventListener('click', () => this.#follow());
  }

  add(frame) {
    this.#kept.push(frame);
    if (this.#kept.length > KEPT) this.#kept.shift();
    this.#total++;
    this.#soon();
  }

  /** Shows frames of a type, or, with a minus, of all others, that contain a text. */
  filter(type, text) {
    this.#type = type;
    this.#text = text.trim().toLowerCase();
    this.#again();
  }

  setPaused(paused) {
    this.paused = paused;
    this.#held = paused ? this.#kept.slice() : [];
    this.#again();
  }

  clear() {
    this.#kept.length = this.#held.length = this.#total = 0;
    this.#again();
  }

  select(frame) {
    if (!frame) return;
    this.#mark(this.selected, false);
    this.selected = frame;
    this.#mark(frame, true);
    this.#select(frame);
  }

  #mark(frame, on) {
    const el = frame && $('frame-' + frame.n);
    if (el) el.setAttribute('aria-selected', String(on));
    if (on && el) this.#list.setAttribute('aria-activedescendant', el.id);
  }

  #follow() {
    this.#following = true;
    this.#list.scrollTop = this.#list.scrollHeight;
  }

  #onKey(e) {
    const at = this.#rows.findIndex(({ frame }) => frame === this.selected), last = this.#rows.length - 1;
    const page = Math.max(1, Math.floor(this.#list.clientHeight / (this.#rows[0]?.el.offsetHeight || 1)) - 1);
    const to = { ArrowUp: at < 0 ? last : at - 1, ArrowDown: at + 1, PageUp: at - page, PageDown: at + page, Home: 0, End: last }[e.key];
    if (to === undefined || last < 0 || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault();
    const row = this.#rows[Math.min(last, Math.max(0, to))];
    this.select(row.frame);
    row.el.scrollIntoView({ block: 'nearest' });
  }

  #passes(frame) {
    const not = this.#type[0] === '-', type = not ? this.#type.slice(1) : this.#type;
    const is = type === 'wrong' ? frame.refusal || frame.errors : frame.type === type;
    if (type && Boolean(is) === not) return false;
    return !this.#text || [`${frame.type} ${frame.summary}`, ...frame.symbols, ...(typeof frame.data === 'string' ? [frame.data] : [])].some((text) => text.toLowerCase().includes(this.#text));
  }

  /** All rows anew. */
  #again() {
    this.#rows.length = this.#drawn = 0;
    this.#list.replaceChildren();
    this.#following = true;
    this.#soon();
  }

  #soon() {
    if (this.#waiting) return;
    this.#waiting = true;
    requestAnimationFrame(() => {
      this.#waiting = false;
      this.#draw();
    });
  }

  #draw() {
    const shown = this.paused ? this.#held : this.#kept, oldest = shown[0]?.n ?? Infinity;
    let gone = 0;
    while (gone < this.#rows.length && this.#rows[gone].frame.n < oldest) this.#rows[gone++].el.remove();
    this.#rows.splice(0, gone);
    let from = shown.length;
    while (from > 0 && shown[from - 1].n > this.#drawn) from--;
    const fresh = shown.slice(from).filter((frame) => this.#passes(frame)).map((frame) => ({ frame, el: this.#row(frame) }));
    this.#rows.push(...fresh);
    this.#list.append(...fresh.map(({ el }) => el));
    this.#drawn = shown.at(-1)?.n ?? this.#drawn;
    if (this.#following) this.#follow();
    this.#write(shown);
  }

  #row(frame) {
    const el = document.createElement('div');
    el.className = 'frame';
    el.id = 'frame-' + frame.n;
    el.setAttribute('role', 'option');
    el.setAttribute('aria-selected', String(frame === this.selected));
    if (frame === this.selected) this.#list.setAttribute('aria-activedescendant', el.id);
    el.dataset.type = frame.type;
    if (frame.refusal || frame.errors) el.dataset.tone = frame.refusal ? 'wrong' : 'warn';
    const cells = {
      ms: frame.ms.toFixed(1), way: frame.out ? 'out' : 'in', kind: frame.kind, bytes: frame.kind === 'close' ? '' : count(frame.bytes),
      type: frame.type, says: frame.refusal ? `refused: ${frame.refusal.message}` : frame.summary,
    };
    el.append(...Object.entries(cells).map(([name, text]) => {
      const cell = document.createElement('span');
      cell.className = name;
      cell.textContent = text;
      return cell;
    }));
    return el;
  }

  /** How many there are, and how many are no more. */
  #write(shown) {
    const dropped = this.#total - this.#kept.length;
    const parts = [
      this.#rows.length === shown.length ? `${count(shown.length)} frames` : `${count(this.#rows.length)} of ${count(shown.length)} frames`,
      dropped && `${count(dropped)} dropped, ${KEPT} kept`,
      this.paused && `paused${this.#behind()}`,
    ];
    $('count').textContent = parts.filter(Boolean).join(' · ');
    $('none').hidden = this.#rows.length > 0;
    $('none').textContent = shown.length ? 'No frame passes the filter.' : 'No frames yet: connect, and hello comes first.';
  }

  #behind() {
    const newest = this.#kept.at(-1)?.n ?? 0, held = this.#held.at(-1)?.n ?? 0;
    return newest > held ? `, ${count(newest - held)} came since` : '';
  }
}
