// The last two minutes of a price as a line. Samples fall into buckets of a quarter
// of a second, the newest of a bucket wins, so memory and drawing cost the same at
// 1 and at 1,000 updates a second.

const BUCKET_MS = 250;
const BUCKETS = 480; // 2 minutes
const FIRST_BUCKETS = 32; // the window a young line is drawn in: 8 s, then it grows

/** Colours are read from the style sheet: once, and again when the theme changes. */
const ink = { line: '', dull: '', base: '' };

export function readInk(root = document.body) {
  const probe = document.createElement('i');
  probe.hidden = true;
  root.append(probe);
  for (const [name, token] of [['line', '--line-ink'], ['dull', '--line-strong'], ['base', '--faint']]) {
    probe.style.color = `var(${token})`;
    ink[name] = getComputedStyle(probe).color;
  }
  probe.remove();
}

/** The samples: a ring of buckets, numbered since the epoch. */
export class Line {
  values = new Float64Array(BUCKETS);
  head = -1; // the newest bucket
  first = -1; // the oldest ever filled

  push(value, ms) {
    if (!Number.isFinite(value)) return;
    if (this.head < 0) this.first = this.head = Math.floor(ms / BUCKET_MS);
    this.carry(ms);
    this.values[this.head % BUCKETS] = value;
  }

  /** Repeats the newest value up to now: a quiet price is a flat line. */
  carry(ms) {
    const bucket = Math.floor(ms / BUCKET_MS);
    if (this.head < 0 || bucket <= this.head) return;
    const value = this.values[this.head % BUCKETS];
    const from = Math.max(this.head + 1, bucket - BUCKETS + 1);
    for (let b = from; b <= bucket; b++) this.values[b % BUCKETS] = value;
    this.head = bucket;
  }
}

/** A line on a canvas. */
export class Spark {
  line;
  low = NaN; // of what was drawn
  high = NaN;
  #canvas;
  #pen = null;
  #width = 0;
  #height = 0;
  #ratio = 1;

  constructor(canvas, line = new Line()) {
    this.#canvas = canvas;
    this.line = line;
  }

  /** Tells the box in CSS pixels; the canvas takes the screen's own. True when it changed, and is empty. */
  resize(width, height) {
    const ratio = Math.min(devicePixelRatio || 1, 3);
    if (width === this.#width && height === this.#height && ratio === this.#ratio) return false;
    [this.#width, this.#height, this.#ratio] = [width, height, ratio];
    this.#canvas.width = Math.round(width * ratio);
    this.#canvas.height = Math.round(height * ratio);
    return true;
  }

  draw(ms, dull) {
    const { width: w, height: h } = this.#canvas;
    if (!w || !h) return;
    const pen = (this.#pen ??= this.#canvas.getContext('2d'));
    pen.clearRect(0, 0, w, h);
    const { line } = this;
    line.carry(ms);
    if (line.head < 0) return;

    const known = Math.min(BUCKETS, line.head - line.first + 1);
    const span = Math.max(known, FIRST_BUCKETS);
    const start = line.head - known + 1;
    let [low, high] = [Infinity, -Infinity];
    for (let b = start; b <= line.head; b++) {
      const v = line.values[b % BUCKETS];
      if (v < low) low = v;
      if (v > high) high = v;
    }
    [this.low, this.high] = [low, high];
    this.#stroke(pen, { start, known, span, colour: dull ? ink.dull : ink.line });
  }

  #stroke(pen, { start, known, span, colour }) {
    const { width: w, height: h } = this.#canvas;
    const { low, high } = this;
    const { values, head } = this.line;
    const [from, to] = [values[start % BUCKETS], values[head % BUCKETS]];
    const unit = this.#ratio;
    const pad = 3 * unit;
    const right = w - pad;
    const step = right / (span - 1);
    const tall = h - 2 * pad;
    const y = (v) => (high === low ? h / 2 : pad + ((high - v) / (high - low)) * tall);
    const x = (i) => right - (known - 1 - i) * step;

    pen.beginPath();
    for (let i = 0; i < known; i++) {
      const v = y(values[(start + i) % BUCKETS]);
      if (i === 0) pen.moveTo(x(0), v);
      else pen.lineTo(x(i), v);
    }
    pen.lineJoin = 'round';
    pen.lineWidth = 1.4 * unit;
    pen.strokeStyle = colour;
    pen.stroke();

    pen.lineTo(right, h);
    pen.lineTo(x(0), h);
    pen.globalAlpha = 0.1;
    pen.fillStyle = colour;
    pen.fill();

    pen.globalAlpha = 0.45;
    pen.lineWidth = unit;
    pen.strokeStyle = ink.base;
    pen.setLineDash([2 * unit, 3 * unit]);
    pen.beginPath();
    pen.moveTo(x(0), y(from));
    pen.lineTo(right, y(from));
    pen.stroke();
    pen.setLineDash([]);

    pen.globalAlpha = 1;
    pen.beginPath();
    pen.arc(right, y(to), 2.2 * unit, 0, 2 * Math.PI);
    pen.fill();
  }
}
