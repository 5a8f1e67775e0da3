// The connection, as the page needs it: the only file that knows the client library.
// It keeps the connection's state in one word, the node's clock, and hands over
// updates as they come.
import { streamURL } from './stream.js';
import { Tickwire } from './tickwire.js';

const PING_EVERY_MS = 10_000;
const PINGS_AT_START = 4;
const PINGS_APART_MS = 400;
const CLOCK_SAMPLES = 8; // the one with the shortest way decides

/** Our clock in microseconds since the epoch, finer than Date.now. */
export const nowUs = () => (performance.timeOrigin + performance.now()) * 1000;

export class Wire {
  state = 'connecting'; // connecting open reconnecting closed
  node = '';
  offsetUs = 0; // the node's clock minus ours
  clockKnown = false;
  #client;
  #on;
  #samples = [];

  /**
   * on: quote(quote, sentUs) an update; message(sentUs) all of a message was told;
   * state(state, text, ms until it connects again); refused(symbol or undefined, error); lag(blocked ms); hello(hello);
   * rate(updates per second and symbol in effect, Infinity: every one).
   */
  constructor(on) {
    this.#on = on;
    setInterval(() => this.#sample(1), PING_EVERY_MS);
  }

  /** Connects, with a token or '', in place of the connection there was. */
  begin(token) {
    const on = this.#on, before = this.#client;
    const client = (this.#client = new Tickwire({ url: streamURL(), encoding: 'msgpack', token }));
    before?.close();
    client.on('quote', ({ quote, sentAt }) => on.quote(quote, sentAt));
    client.on('batch', ({ sentAt }) => on.message(sentAt));
    client.on('hello', (hello) => {
      this.node = hello.node;
      on.hello(hello);
    });
    client.on('error', (error) => on.refused(error.symbol, error));
    client.on('lag', on.lag);
    client.on('state', ({ state, text, retryMs = 0 }) => {
      if (state === 'stale' || client !== this.#client) return; // another connection follows at once
      this.state = state === 'live' ? 'open' : state === 'connecting' ? 'reconnecting' : state;
      if (this.state === 'open') {
        this.#samples.length = 0; // perhaps another node, with another clock
        this.#sample(PINGS_AT_START);
      }
      on.state(this.state, text, retryMs);
    });
  }

  /** Bytes received so far. */
  get bytes() { return this.#client?.bytes ?? 0; }

  // Before the connection begins nothing is asked: whoever begins it asks for all.
  subscribe(symbols, rate) { if (symbols.length) this.#tellRate(this.#client?.subscribe(symbols, { rate })); }
  unsubscribe(symbols) { this.#client?.unsubscribe(symbols); }
  setRate(symbols, rate) { if (symbols.length) this.#tellRate(this.#client?.set(symbols, { rate })); }
  pause() { this.#client?.pause(); }
  resume() { this.#client?.resume(); }

  /** Tells the lowest rate in effect, once what was asked for is answered: a token may allow less. */
  async #tellRate(asked) {
    const client = this.#client;
    try {
      await asked;
      const rates = (await client?.list() ?? []).map(({ rate }) => rate || Infinity);
      if (client === this.#client) this.#on.rate(Math.min(...rates));
    } catch { /* the connection went, or was refused, which is told apart */ }
  }

  /** Asks the node for its time, more than once at the start, when this page is busy. */
  async #sample(times) {
    for (let i = 0; i < times && this.state === 'open'; i++) {
      const from = nowUs();
      let time;
      try {
        ({ time } = await this.#client.ping());
      } catch {
        return; // the connection went
      }
      const to = nowUs();
      this.#samples.push({ way: to - from, offset: time - (from + to) / 2 });
      if (this.#samples.length > CLOCK_SAMPLES) this.#samples.shift();
      const best = this.#samples.reduce((a, b) => (b.way < a.way ? b : a));
      // Half the way is how wrong the offset may be: within it the clocks agree.
      this.offsetUs = Math.abs(best.offset) <= best.way / 2 ? 0 : best.offset;
      this.clockKnown = true;
      await new Promise((done) => setTimeout(done, PINGS_APART_MS));
    }
  }
}
