// One frame, whole: its tree with what each element means, and the raw bytes or text,
// where the element that is pointed at is marked. Both are text; the mark is a range of
// it (CSS.highlights), so that neither costs an element per byte.
import { count } from '../format.js';
import { decoded } from './decoded.js';
import { explain } from './explain.js';
import { hex } from './msgpack.js';
import { REFUSALS } from './protocol.js';

const LINES_AT_ONCE = 200; // more of a list are asked for
const OPEN_MOST = 3; // updates, or results, are open where there are no more
const RAW_MOST = 65_536; // bytes, or characters, that are shown; a copy has all
const OFFSET = 6; // digits
const WIDE = 78; // characters that 16 bytes take

const $ = (id) => document.getElementById(id);

export class Inspector {
  #frame = null;
  #lines = new WeakMap(); // of the tree's elements
  #raw = $('raw');
  #columns = 16;

  constructor() {
    const tree = $('tree');
    const lineAt = (e) => this.#lines.get(e.target.closest?.('.line'));
    tree.addEventListener('pointerover', (e) => this.#point(lineAt(e)));
    tree.addEventListener('pointerleave', () => this.#point(undefined));
    tree.addEventListener('focusin', (e) => this.#point(lineAt(e)));
    tree.addEventListener('click', (e) => this.#point(lineAt(e), true));
    $('copy-raw').addEventListener('click', () => this.#copy('copy-raw', typeof this.#frame.data === 'string' ? this.#frame.data : hex(this.#frame.data)));
    $('copy-json').addEventListener('click', () => this.#copy('copy-json', decoded(this.#frame)));
    new ResizeObserver(() => this.#fit()).observe(this.#raw);
  }

  show(frame) {
    this.#frame = frame;
    $('inspect').toggleAttribute('data-empty', !frame);
    const text = frame.kind === 'text', none = frame.kind === 'close';
    $('inspect-title').textContent = `${frame.out ? 'Out' : 'In'}: ${frame.type}`;
    $('inspect-what').textContent = `${none ? 'close frame' : `${frame.kind}, ${count(frame.bytes)} bytes`} · ${frame.ms.toFixed(1)} ms`;
    $('refusal').hidden = !frame.refusal;
    if (frame.refusal) $('refusal').textContent = `A client refuses this, as ${frame.refusal.message}. The class ${frame.refusal.kind} is ${REFUSALS[frame.refusal.kind]}.`;
    $('tree').replaceChildren(...this.#elements(explain(frame)));
    $('tree').scrollTop = 0;
    $('raw-title').textContent = frame.out ? 'As it went' : 'As it came';
    $('copy-raw').textContent = text ? 'Copy text' : 'Copy hex';
    for (const id of ['copy-raw', 'raw-part']) $(id).hidden = none;
    this.#drawRaw();
  }

  // ---- the tree

  /** Elements of lines, the first of a list that is long; a button brings the next. */
  #elements(lines, from = 0) {
    const some = lines.slice(from, from + LINES_AT_ONCE);
    const few = lines.filter((line) => line.item && line.lines).length <= OPEN_MOST;
    const made = some.map((line) => this.#element(line, line.open || (few && line.item)));
    const left = lines.length - from - some.length;
    if (left > 0) {
      const more = document.createElement('button');
      more.type = 'button';
      more.className = 'more-lines';
      more.textContent = `${count(left)} more`;
      more.addEventListener('click', () => more.replaceWith(...this.#elements(lines, from + LINES_AT_ONCE)));
      made.push(more);
    }
    return made;
  }

  #element(line, open) {
    const el = document.createElement(line.lines ? 'details' : 'div'), head = line.lines ? document.createElement('summary') : el;
    el.classList.add('line');
    if (line.tone) el.dataset.tone = line.tone;
    this.#lines.set(el, line);
    for (const name of ['key', 'text', 'note']) {
      const cell = document.createElement('span');
      cell.className = name;
      cell.textContent = line[name];
      head.append(cell);
    }
    if (!line.lines) return el;
    const parts = document.createElement('div');
    parts.className = 'parts';
    el.append(head, parts);
    const fill = () => { if (!parts.firstChild) parts.append(...this.#elements(line.lines())); };
    if (open) {
      fill();
      el.open = true;
    } else el.addEventListener('toggle', fill);
    return el;
  }

  // ---- what came

  #drawRaw() {
    const { data } = this.#frame;
    const text = typeof data === 'string';
    this.#raw.toggleAttribute('data-text', text);
    this.#raw.textContent = text ? data.slice(0, RAW_MOST) : data ? dump(data.subarray(0, RAW_MOST), this.#columns) : '';
    this.#raw.scrollTop = 0;
    const cut = (data?.length ?? 0) > RAW_MOST;
    $('raw-cut').hidden = !cut;
    $('raw-cut').textContent = cut ? `The first ${count(RAW_MOST)} of ${count(data.length)}; a copy has all.` : '';
    this.#point(undefined);
  }

  /** Sixteen bytes a line where there is room, or eight. */
  #fit() {
    const ruler = document.createElement('span');
    ruler.textContent = '0'.repeat(20);
    ruler.className = 'unseen';
    this.#raw.parentElement.append(ruler);
    const columns = this.#raw.clientWidth >= (ruler.scrollWidth / 20) * WIDE ? 16 : 8;
    ruler.remove();
    if (columns === this.#columns) return;
    this.#columns = columns;
    if (this.#frame) this.#drawRaw();
  }

  /** Marks what a line is of; with a click it is brought into view. */
  #point(line, reveal = false) {
    const node = this.#raw.firstChild, length = node?.length ?? 0;
    const ranges = line?.at === undefined ? [] : this.#spans(line).filter(([from]) => from < length).map(([from, to]) => {
      const range = new Range();
      range.setStart(node, from);
      range.setEnd(node, Math.min(to, length));
      return range;
    });
    if (globalThis.Highlight) CSS.highlights.set('element', new Highlight(...ranges));
    const n = line?.at === undefined ? 0 : line.end - line.at, text = typeof this.#frame?.data === 'string';
    $('raw-what').textContent = n ? `${line.at}–${line.end - 1} · ${n} ${text ? 'character' : 'byte'}${n === 1 ? '' : 's'} · ${line.kind ?? 'wrong'}` : '';
    if (!reveal || !ranges.length) return;
    const box = this.#raw.getBoundingClientRect(), spot = ranges[0].getBoundingClientRect();
    if (spot.top < box.top || spot.bottom > box.bottom) this.#raw.scrollTop += spot.top - box.top - box.height / 3;
  }

  /** Where a line's bytes are in the dump: their hex, and their characters. */
  #spans({ at, end }) {
    if (typeof this.#frame.data === 'string') return [[at, end]];
    const n = this.#columns, spans = [];
    for (let row = Math.floor(at / n); row * n < Math.min(end, RAW_MOST); row++) {
      const from = Math.max(0, at - row * n), to = Math.min(n, end - row * n), start = row * (charsAt(n, n) + 1);
      spans.push([start + hexAt(from), start + hexAt(to - 1) + 2], [start + charsAt(from, n), start + charsAt(to, n)]);
    }
    return spans;
  }

  async #copy(id, text) {
    const done = await write(text);
    const button = $(id), was = button.dataset.word ?? (button.dataset.word = button.textContent);
    button.textContent = done ? 'Copied' : 'Not allowed';
    $('say').textContent = done ? 'Copied' : 'The browser does not allow to copy';
    setTimeout(() => {
      button.textContent = was;
      delete button.dataset.word;
    }, 1200);
  }
}

const hexAt = (i) => OFFSET + 2 + 3 * i + (i >= 8 ? 1 : 0);
const charsAt = (i, n) => hexAt(n - 1) + 4 + i;

/** Lines of an offset, n bytes, and the same as ASCII; all of the same length. */
function dump(bytes, n) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += n) {
    const row = bytes.subarray(at, at + n), pairs = Array.from(row, (b) => b.toString(16).padStart(2, '0'));
    const hexes = [pairs.slice(0, 8).join(' '), pairs.slice(8).join(' ')].filter((part, i) => i === 0 || n > 8).join('  ');
    const chars = String.fromCharCode(...row.map((b) => (b >= 0x20 && b < 0x7f ? b : 0x2e)));
    lines.push(`${at.toString(16).padStart(OFFSET, '0')}  ${hexes}`.padEnd(charsAt(0, n)) + chars.padEnd(n));
  }
  return lines.join('\n');
}

/** Copies; a page that came over plain HTTP from elsewhere has to do it as of old. */
async function write(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement('textarea');
    area.value = text;
    area.className = 'unseen';
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}
