// The strip's numbers: what the node delivers of what the venues publish, what it
// merged on the way, bytes, latency. Counted as updates arrive, written twice a
// second, over a window of two seconds.
import * as format from './format.js';

const SLOTS = 4; // of 500 ms
const LATENCY_SAMPLES = 512;

export class Totals {
  #el = {};
  #delivered = new Float64Array(SLOTS);
  #skipped = new Float64Array(SLOTS);
  #bytes = new Float64Array(SLOTS);
  #slot = 0;
  #filled = 0;
  #all = { delivered: 0, skipped: 0 };
  #lastBytes = null;
  #late = new Samples();
  #held = new Samples();

  constructor() {
    for (const id of ['delivered', 'published', 'meter', 'conflated', 'skipped', 'traffic', 'per-update', 'latency', 'clock', 'traffic-tile']) {
      this.#el[id] = document.getElementById(id);
    }
  }

  /** One update arrived, and with it the news of those that were merged into it. */
  add(skipped) {
    this.#delivered[this.#slot]++;
    this.#skipped[this.#slot] += skipped;
  }

  /** One data message arrived that was sent so long ago. */
  addLatency(us) {
    this.#late.add(us);
  }

  /** An update was sent so long after the feed had it. */
  addHeld(us) {
    this.#held.add(us);
  }

  /** A new rate or connection: what was before says nothing of what is now. */
  forget() {
    this.#filled = 0;
    for (const ring of [this.#delivered, this.#skipped, this.#bytes]) ring.fill(0);
    this.#late.clear();
    this.#held.clear();
  }

  get updatesPerSecond() { return this.#rate(this.#delivered); }

  /** Every 500 ms. bytes: received since the start, or null when nobody counts them. */
  write({ bytes, clockMs, link }) {
    if (bytes != null && this.#lastBytes != null) this.#bytes[this.#slot] += Math.max(0, bytes - this.#lastBytes);
    this.#lastBytes = bytes;
    this.#filled = Math.min(SLOTS, this.#filled + 1);
    this.#all.delivered += this.#delivered[this.#slot];
    this.#all.skipped += this.#skipped[this.#slot];

    const delivered = this.#rate(this.#delivered);
    const published = delivered + this.#rate(this.#skipped);
    this.#put('delivered', format.perSecond(delivered), '/s');
    this.#put('published', published ? `of ${format.perSecond(published)}/s published` : { open: 'nothing moves', paused: 'paused', lost: 'no connection' }[link]);
    const share = published ? delivered / published : 1;
    this.#el.meter.style.transform = `scaleX(${share.toFixed(3)})`;
    this.#el.meter.parentElement.toggleAttribute('data-on', published > 0);

    const merged = (1 - share) * 100;
    this.#put('conflated', merged === 0 || merged >= 99.95 ? merged.toFixed(0) : merged.toFixed(1), '%');
    this.#el.conflated.toggleAttribute('data-some', merged >= 0.05);
    this.#put('skipped', `${format.count(this.#all.skipped)} in all`);

    this.#el['traffic-tile'].hidden = bytes == null;
    if (bytes != null) {
      const rate = this.#rate(this.#bytes);
      this.#put('traffic', ...format.bytes(rate));
      this.#put('per-update', delivered ? `${(rate / delivered).toFixed(0)} B an update` : '');
    }
    this.#writeLatency(clockMs);

    this.#slot = (this.#slot + 1) % SLOTS;
    this.#delivered[this.#slot] = this.#skipped[this.#slot] = this.#bytes[this.#slot] = 0;
  }

  #writeLatency(clockMs) {
    const late = this.#late.sorted();
    const held = this.#held.sorted();
    const [number, unit] = late.length ? format.duration(at(late, 0.5)).split(' ') : ['–', ''];
    this.#put('latency', number, unit);
    this.#put('clock', late.length ? `p99 ${format.duration(at(late, 0.99))} · feed ${format.duration(at(held, 0.5))}` : '');
    const clock = clockMs == null ? 'not known yet' : clockMs === 0 ? 'agrees with ours' : `${format.signed(clockMs, 1)} ms from ours`;
    const title = `From the node's send to this page: median and 99th percentile of the last ${LATENCY_SAMPLES} messages. Feed: from the feed's receipt to the node's send. The node's clock: ${clock}.`;
    const tile = this.#el.latency.closest('.tile');
    if (tile.title !== title) tile.title = title;
  }

  #rate(ring) {
    let sum = 0;
    for (const n of ring) sum += n;
    return this.#filled ? sum / (this.#filled * 0.5) : 0;
  }

  #put(id, text, unit) {
    const el = this.#el[id];
    const key = text + (unit ?? '');
    if (el.dataset.text === key) return;
    el.dataset.text = key;
    el.replaceChildren(text);
    if (unit) {
      const small = document.createElement('i');
      small.textContent = unit;
      el.append(small);
    }
  }
}

/** The newest samples of a duration, for percentiles. */
class Samples {
  #ring = new Float64Array(LATENCY_SAMPLES);
  #count = 0;

  add(us) {
    if (Number.isFinite(us)) this.#ring[this.#count++ % LATENCY_SAMPLES] = us;
  }

  clear() {
    this.#count = 0;
  }

  sorted() {
    return this.#ring.slice(0, Math.min(this.#count, LATENCY_SAMPLES)).sort();
  }
}

const at = (sorted, p) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))];
