// The token, where a node asks for one: from the address (#token=..., taken once and
// removed), from this tab's storage, or from whoever pastes it into the form. It never
// goes into the address, and is kept only once the node has taken it.

const KEY = 'tickwire.token';

/** What the form says, by why another token is wanted. */
const WORDS = {
  missing: ['This node asks for a token', 'Paste the one that you were given.'],
  expired: ['The token has expired', 'Prices stand still. Paste a new one to go on.'],
  revoked: ['The token was revoked', 'Who runs this node has taken it back. Paste another to go on.'],
  replaced: ['A newer connection took this place', 'The token allows no more at a time. Connect again to take the place back, or paste another.'],
  uncovered: ['The token covers no symbol here', 'Paste another that covers some.'],
  ending: ['The token ends soon', 'Paste a new one, and nothing stops.'],
};

/** Why a refusal asks for another token, as a word; undefined when none would help. */
export function why({ code, reason }) {
  return { 4001: 'revoked', 4002: 'expired', 4003: 'replaced', 401: reason ?? 'refused' }[code];
}

const $ = (id) => document.getElementById(id);

export class Door {
  token = fromAddress() ?? stored();
  #dialog = $('door');
  #input = $('door-token');
  #reason = '';
  #busy = false;

  /** enter(token): connect with it. */
  constructor(enter) {
    $('door-form').addEventListener('submit', (e) => {
      e.preventDefault();
      const token = this.#input.value.trim().replace(/^bearer\s+/i, '');
      if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) return this.#wrong(token ? 'That is no token: it has three parts, with dots between.' : 'Paste a token first.');
      this.#setBusy(true);
      this.token = token;
      enter(token);
    });
    $('door-later').addEventListener('click', () => this.#dialog.close());
    this.#dialog.addEventListener('close', () => this.#setBusy(false));
    addEventListener('hashchange', () => {
      const token = fromAddress();
      if (token) enter((this.token = token));
    });
  }

  get shown() { return this.#dialog.open; }

  /** What the form's heading says of a reason. */
  title(reason) { return (WORDS[reason] ?? ['The token was refused'])[0]; }

  /** The node lets nobody in: what was kept is of no use, unless the place alone was lost. */
  refuse(reason, text) {
    if (reason !== 'replaced') {
      this.token = '';
      store('');
    }
    if (this.#busy) this.#wrong(text);
    else this.ask(reason, text);
  }

  /** Shows the form. */
  ask(reason, text = '') {
    this.#reason = reason;
    const [title, advice] = WORDS[reason] ?? [this.title(reason), sentence(text)];
    $('door-title').textContent = title;
    $('door-text').textContent = advice;
    $('door-error').textContent = '';
    this.#input.value = reason === 'replaced' ? this.token : '';
    this.#input.removeAttribute('aria-invalid');
    if (!this.shown) this.#dialog.showModal();
    this.#input.focus();
    this.#input.select();
  }

  /** The node has taken the token; who is about to paste the next one is not disturbed. */
  done() {
    store(this.token);
    if (this.#busy || this.#reason !== 'ending') this.#dialog.close();
  }

  #wrong(text) {
    this.#setBusy(false);
    $('door-error').textContent = sentence(text);
    this.#input.setAttribute('aria-invalid', 'true');
    this.#input.focus();
    this.#input.select();
  }

  #setBusy(busy) {
    this.#busy = busy;
    $('door-go').textContent = busy ? 'Connecting…' : 'Connect';
    $('door-go').disabled = busy;
  }
}

const sentence = (text) => text.replace(/^./, (c) => c.toUpperCase()).replace(/[^.]$/, '$&.');

function fromAddress() {
  const parts = location.hash.slice(1).split('&');
  const mine = parts.find((p) => p.startsWith('token='));
  if (mine === undefined) return null;
  const rest = parts.filter((p) => !p.startsWith('token=')).join('&');
  history.replaceState(history.state, '', rest ? '#' + rest : location.pathname + location.search);
  return mine.slice('token='.length);
}

function stored() {
  try {
    return sessionStorage.getItem(KEY) ?? '';
  } catch {
    return ''; // storage may be forbidden
  }
}

function store(token) {
  try {
    if (token) sessionStorage.setItem(KEY, token);
    else sessionStorage.removeItem(KEY);
  } catch { /* until the next visit */ }
}
