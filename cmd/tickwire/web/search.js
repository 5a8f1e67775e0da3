// The search box: a combobox over the node's symbols. Typing filters, arrows choose,
// Enter adds (or removes what is on the board), and the list stays open, so that
// several can be added in a row. "/" brings the cursor here from anywhere.
import { parts, count } from './format.js';

const SHOWN_MAX = 60; // options drawn; a board may have 100,000 symbols
const ADD_ALL_MAX = 500; // symbols that one "add all" may bring
const fingers = matchMedia('(pointer: coarse)');
const template = document.getElementById('option');

/** Ranks symbols against the words of a query; best first. Every word must occur. */
export function match(symbols, query, max = Infinity) {
  const words = query.toUpperCase().split(/\s+/).filter(Boolean).map((w) => w.replace(/\*$/, ''));
  if (!words.length) return { best: symbols.slice(0, max), total: symbols.length };
  const ranks = [[], [], [], []];
  let total = 0;
  for (const symbol of symbols) {
    const upper = symbol.toUpperCase();
    if (!words.every((w) => upper.includes(w))) continue;
    total++;
    const pair = upper.slice(upper.indexOf(':') + 1);
    const dash = pair.indexOf('-');
    const word = words[0];
    const rank = (dash < 0 ? pair : pair.slice(0, dash)) === word ? 0 : pair.startsWith(word) ? 1 : upper.startsWith(word) ? 2 : 3;
    if (ranks[rank].length < max) ranks[rank].push(symbol);
  }
  return { best: ranks.flat().slice(0, max), total };
}

export class Search {
  #input = document.getElementById('query');
  #drop = document.getElementById('drop');
  #list = document.getElementById('matches');
  #hint = document.getElementById('hint');
  #options = []; // { symbol } | { all: [...] }, one an element of the list
  #chosen = -1;
  #moved = false; // the user chose it, and not the ranking
  #board;
  #symbols = null; // null until the node told them
  #trouble = '';

  /** board: { has(symbol), add(symbols), remove(symbol), room(), refresh() } */
  constructor(board) {
    this.#board = board;
    this.#input.addEventListener('focus', () => { board.refresh(); this.open(); });
    this.#input.addEventListener('input', () => this.#draw(true));
    this.#input.addEventListener('keydown', (e) => this.#key(e));
    this.#input.addEventListener('blur', () => this.close());
    this.#input.addEventListener('click', () => this.open());
    this.#drop.addEventListener('pointerdown', (e) => e.preventDefault()); // the cursor stays in the box
    this.#list.addEventListener('click', (e) => this.#take(this.#indexOf(e), true));
    this.#list.addEventListener('pointermove', (e) => this.#choose(this.#indexOf(e), false));
  }

  focus() {
    this.#input.focus();
    this.#input.select();
  }

  setSymbols(symbols) {
    this.#symbols = symbols;
    this.#trouble = '';
    if (!this.#drop.hidden) this.#draw(false);
  }

  setTrouble(text) {
    this.#trouble = text;
    if (!this.#drop.hidden) this.#draw(false);
  }

  /** The board changed: check marks follow. */
  mark() {
    if (this.#drop.hidden) return;
    this.#options.forEach((o, i) => this.#list.children[i]?.classList.toggle('on', !!o.symbol && this.#board.has(o.symbol)));
  }

  open() {
    if (!this.#drop.hidden) return;
    this.#drop.hidden = false;
    this.#input.setAttribute('aria-expanded', 'true');
    this.#draw(true);
  }

  close() {
    this.#drop.hidden = true;
    this.#input.setAttribute('aria-expanded', 'false');
    this.#input.removeAttribute('aria-activedescendant');
  }

  #key(e) {
    if (e.isComposing) return;
    const page = 8;
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page };
    if (!(e.key in moves) && e.key !== 'Enter' && e.key !== 'Escape') return;
    e.preventDefault();
    if (e.key !== 'Escape') {
      this.open();
      if (e.key === 'Enter') return this.#take(this.#chosen, this.#moved);
      this.#moved = true;
      return this.#choose(Math.max(0, Math.min(this.#options.length - 1, this.#chosen + moves[e.key])), true);
    }
    if (!this.#input.value) this.#input.blur();
    this.#input.value = '';
    this.close();
  }

  #indexOf(e) {
    const li = e.target.closest?.('li');
    return li ? [...this.#list.children].indexOf(li) : -1;
  }

  /** Adds the option, or removes what is on the board: only if the user chose just that. */
  #take(index, chosen) {
    const option = this.#options[index];
    if (!option) return;
    if (option.all) {
      this.#board.add(option.all);
      this.#draw(true);
    } else if (!this.#board.has(option.symbol)) this.#board.add([option.symbol]);
    else if (chosen) this.#board.remove(option.symbol);
    this.#input.select();
    this.mark();
  }

  #choose(index, scroll) {
    if (index < 0 && this.#options.length) return;
    this.#list.children[this.#chosen]?.setAttribute('aria-selected', 'false');
    this.#chosen = index;
    const li = this.#list.children[index];
    if (!li) {
      this.#input.removeAttribute('aria-activedescendant');
      return;
    }
    li.setAttribute('aria-selected', 'true');
    this.#input.setAttribute('aria-activedescendant', li.id);
    if (scroll) li.scrollIntoView({ block: 'nearest' });
  }

  #draw(first) {
    this.open();
    const query = this.#input.value.trim();
    const { best, total } = match(this.#symbols ?? [], query, ADD_ALL_MAX);
    this.#options = best.slice(0, SHOWN_MAX).map((symbol) => ({ symbol }));
    if (query && total > 1) {
      const missing = best.filter((s) => !this.#board.has(s)).slice(0, this.#board.room());
      if (missing.length > 1) this.#options[query.includes('*') ? 'unshift' : 'push']({ all: missing });
    }
    if (/^[^\s:]+:[^\s*]+$/.test(query) && !best.some((s) => s.toUpperCase() === query.toUpperCase())) {
      this.#options.push({ symbol: query, unknown: true });
    }
    this.#list.replaceChildren(...this.#options.map((o, i) => this.#item(o, i, query)));
    this.#hint.textContent = this.#hintText(query, total);
    if (first) this.#moved = false;
    this.#choose(this.#options.length ? (first ? 0 : Math.min(Math.max(0, this.#chosen), this.#options.length - 1)) : -1, first);
  }

  #hintText(query, total) {
    if (this.#trouble) return this.#trouble;
    if (!this.#symbols) return 'Asking the node for its symbols…';
    if (!this.#symbols.length) return 'This node has no symbols yet.';
    if (!total) return `Nothing matches “${query}”. A full name, as in coinbase:BTC-USD, can be added all the same.`;
    const of = query ? `${count(total)} of ${count(this.#symbols.length)}` : count(this.#symbols.length);
    return `${of} symbols · ${fingers.matches ? 'tap to add or remove' : '↑↓ choose · Enter adds or removes · Esc leaves'}`;
  }

  #item(option, i, query) {
    const li = template.content.firstElementChild.cloneNode(true);
    const [name, venue] = li.children;
    li.id = 'match-' + i;
    if (option.all || option.unknown) {
      li.classList.add('act');
      li.replaceChildren(name);
      name.textContent = option.all ? `Add all ${count(option.all.length)}` : `Add “${option.symbol}” all the same`;
      return li;
    }
    const of = parts(option.symbol);
    name.firstElementChild.append(...emphasize(of.base, query));
    name.append(of.counter);
    venue.textContent = of.venue;
    li.classList.toggle('on', this.#board.has(option.symbol));
    return li;
  }
}

/** The part of a name that a word of the query names, marked. */
function emphasize(text, query) {
  const upper = text.toUpperCase();
  for (const word of query.toUpperCase().split(/\s+/)) {
    const at = word ? upper.indexOf(word) : -1;
    if (at < 0) continue;
    const mark = document.createElement('mark');
    mark.textContent = text.slice(at, at + word.length);
    return [text.slice(0, at), mark, text.slice(at + word.length)];
  }
  return [text];
}
