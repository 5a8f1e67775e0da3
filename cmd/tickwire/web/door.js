// The token, where a node asks for one: from the address (#token=..., taken once and
// removed), from this tab's storage, or from whoever pastes it into the form. It never
// goes into the address, and is kept only once the node has taken it. The form comes
// with it: every page that has a door has the same.

const KEY = 'tickwire.token';

const FORM = `
<dialog class="door" id="door" aria-labelledby="door-title" aria-describedby="door-text">
  <form id="door-form" method="dialog" novalidate>
    <svg class="key" viewBox="0 0 24 24" aria-hidden="true"><circle cx="7.5" cy="16.5" r="4.5"/><path d="M10.8 13.2 20.5 3.5M15.5 8.5l4 4"/></svg>
    <h2 id="door-title"></h2>
    <p id="door-text"></p>
    <label for="door-token">Token</label>
    <input id="door-token" type="text" autocomplete="off" autocapitalize="none" spellcheck="false" enterkeyhint="go" placeholder="eyJ…" aria-describedby="door-error door-stays">
    <p class="wrong" id="door-error" role="alert"></p>
    <p class="stays" id="door-stays">It stays in this tab, and is forgotten with it.</p>
    <div class="acts"><button type="button" id="door-later">Not now</button><button type="submit" id="door-go">Connect</button></div>
  </form>
</dialog>`;

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
  #dialog;
  #input;
  #reason = '';
  #busy = false;

  /** enter(token): connect with it. */
  constructor(enter) {
    document.body.insertAdjacentHTML('beforeend', FORM);
    this.#dialog = $('door');
    this.#input = $('door-token');
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
