// Says what each element of a frame means, whatever the frame. A line is { key, text, note,
// at, end, kind, tone, lines, open, item }: what it is called, what it says, what that means, which bytes (or
// characters) it is, and, of what has parts, lines() of its own: made when they are
// looked at, for a message may have thousands; at once if open, or if it is an item, an
// update or a result, and there are few.
import { CONFLATED, GAP, IMAGE, STATUSES, decimalText, reasonOf } from '../tickwire.js';
import { FIELD_KINDS, FLAG_MEANS, KEYS, STATUS_MEANS, TYPES, closeMeans, errorMeans, isScale } from './protocol.js';
import { readJSON } from './json.js';
import { readMsgpack } from './msgpack.js';

const NAMES_SHOWN = 4; // of fields, and of what else is a list, in one line

/** A frame's lines. */
export function explain(frame) {
  if (frame.kind === 'close') return ofClose(frame);
  let nodes;
  try {
    nodes = typeof frame.data === 'string' ? [readJSON(frame.data)] : readMsgpack(frame.data);
  } catch (error) {
    return [{ key: 'text', text: frame.data.slice(0, 200), note: error.message, tone: 'wrong', at: error.at, end: error.at + 1 }];
  }
  const [root, ...rest] = nodes;
  const lines = frame.out ? ofMap(root, KEYS.request, frame) : typeof frame.data === 'string' ? ofText(root, frame) : ofArray(root, frame);
  return [...lines, ...rest.map((node) => plain('', node))];
}

function ofClose({ code, reason, refused }) {
  const { final, why } = closeMeans(code);
  const lines = [
    { key: 'code', text: String(code), note: why },
    { key: 'final', text: final ? 'yes' : 'no', note: final ? 'coming back as one is cannot help' : 'connect again, after a random wait' },
  ];
  if (reason) lines.push({ key: 'reason', text: reason, note: 'in words' });
  if (refused) lines.push({ key: 'upgrade', text: refused, note: 'what plain HTTP answers at the same door', tone: 'wrong' });
  return lines;
}

/** A message of the node as a map with its type, and updates as maps. */
function ofText(root, frame) {
  const type = get(root, 'type')?.value;
  return ofMap(root, { type: 'of the message', ...keysOf(type) }, frame, type === 'data' ? { updates: updateText } : {});
}

const keysOf = (type) => ({ ...(type === 'error' ? KEYS.wire_error : {}), ...KEYS[type] });

/** A message of the node as an array that begins with the number of its type. */
function ofArray(root, frame) {
  if (root.kind !== 'array' || !root.items.length) return [plain('', root)];
  const [first, second, ...more] = root.items;
  const name = typeof first.value === 'number' ? TYPES[first.value] : undefined;
  const lines = [line('type', first, show(first), name ?? 'a type of a newer node: ignored')];
  if (name !== 'data') return [...lines, ...(second ? ofMap(second, keysOf(name), frame) : []), ...more.map((node, i) => plain(String(i + 2), node))];
  if (second) lines.push(line('sent_at', second, show(second), `${clock(second.value)}: ${KEYS.data.sent_at}`));
  return [...lines, ...each(more, update, frame)];
}

/** Lines of a list's items, each as one says. */
const each = (nodes, one, frame) => nodes.map((node, i) => ({ ...one(node, i, frame), item: true }));

// ---- updates

function update(node, i, frame) {
  const { items } = node;
  if (node.kind !== 'array' || items.length < 4) return plain(`update ${i + 1}`, node);
  const [id, seq, flags, mask] = items, names = maskNames(mask.value, frame.session.fields);
  const symbol = frame.session.names.get(id.value);
  return {
    ...line(`update ${i + 1}`, node, symbol ?? `id ${show(id)}`, flagNames(Number(flags.value)) + list(names), holdsWrong(node) ? 'wrong' : ''),
    lines: () => updateLines(items, names, symbol, frame),
  };
}

function updateLines([id, seq, flags, mask, ...rest], names, symbol, frame) {
  const bits = Number(flags.value), image = (bits & IMAGE) !== 0, values = rest.slice(image ? 1 : 0);
  const own = Object.fromEntries(names.map((name, i) => [name, values[i]?.value]));
  const lines = [
    line('id', id, show(id), symbol ?? 'of a symbol that no reply has named'),
    line('seq', seq, show(seq), KEYS.update.seq),
    line('flags', flags, show(flags), flagMeans(bits)),
    line('mask', mask, typeof mask.value === 'number' ? '0x' + mask.value.toString(16) : show(mask), names.join(', ') || 'no field'),
  ];
  if (image && rest.length) lines.push(line('history', rest[0], show(rest[0]), `${clock(Number(rest[0].value) * 1000)}: ${KEYS.update.history}`));
  values.forEach((node, i) => {
    const name = names[i] ?? 'more than the mask says';
    const scale = own[FIELD_KINDS[name] + '_scale'] ?? frame.session.scale(id.value, FIELD_KINDS[name], frame.n);
    lines.push(line(name, node, ...value(name, node.value, scale)));
  });
  return lines;
}

/** What a value of msgpack says, exactly, and what that is. */
function value(name, v, scale) {
  const kind = FIELD_KINDS[name];
  if (v === null) return ['nil', 'not known, or no more'];
  if (kind === 'status') return Number.isInteger(v) && STATUSES[v] ? [STATUSES[v], `${v}: ${STATUS_MEANS[STATUSES[v]]}`] : [String(v), 'of a newer node'];
  if (kind === 'us') return [String(v), clock(v)];
  if (!['price', 'size', 'volume'].includes(kind) || !Number.isInteger(v)) return [String(v), meaning(name)];
  if (!isScale(scale)) return [String(v), scale == null ? `a mantissa: no ${kind}_scale has come` : `a mantissa: ${kind}_scale is none`];
  return [decimalText(v, scale), `${v} × 10${superscript(-scale)}`];
}

const superscript = (n) => String(n).replace(/./g, (c) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[c] ?? '⁻');

function updateText(node, i) {
  if (!isMap(node)) return plain(`update ${i + 1}`, node);
  const conflated = get(node, 'conflated')?.value, names = entries(node).map(([key]) => key).filter((key) => FIELD_KINDS[key]);
  const says = [get(node, 'image') && 'image', conflated && `conflated (${conflated})`, get(node, 'gap') && 'gap', list(names)];
  return {
    ...line(`update ${i + 1}`, node, String(get(node, 'symbol')?.value ?? ''), says.filter(Boolean).join(' · ')),
    lines: () => entries(node).map(([key, v]) => line(key, v, show(v), KEYS.update[key] ? dated(key, v) : fieldText(key, v))),
  };
}

const dated = (key, { value: ms }) => (key === 'history' ? `${clock(Number(ms) * 1000)}: ` : '') + KEYS.update[key];

function fieldText(key, { value: v }) {
  if (v === null) return 'not known, or no more';
  if (FIELD_KINDS[key] === 'us') return clock(v);
  return key === 'status' ? STATUS_MEANS[v] ?? '' : meaning(key);
}

function meaning(name) {
  const kind = FIELD_KINDS[name];
  if (kind === 'scale') return `decimals of each ${name.replace('_scale', '')}`;
  return kind === 'volume' || kind === 'count' ? "of the venue's day" : kind ?? 'of a newer node';
}

const list = (names) => (names.length > NAMES_SHOWN ? `${names.length} fields` : names.join(', '));

function maskNames(mask, fields) {
  if (typeof mask !== 'number' || mask < 0) return [];
  return [...mask.toString(2)].reverse().flatMap((bit, f) => (bit === '1' ? [fields[f] ?? `bit ${f}`] : []));
}

const flagNames = (flags) => [flags & IMAGE && 'image', flags & CONFLATED && `conflated (${reasonOf(flags)})`, flags & GAP && 'gap'].filter(Boolean).map((word) => word + ' · ').join('');

function flagMeans(flags) {
  const words = [flags & IMAGE && 'IMAGE', flags & CONFLATED && 'CONFLATED', reasonOf(flags), flags & GAP && 'GAP'].filter(Boolean);
  return words.map((word) => `${word}: ${FLAG_MEANS[word]}`).join('; ') || 'none';
}

// ---- maps

const entries = (node) => (node.items ?? []).flatMap((key, i) => (i % 2 ? [] : [[String(key.value), node.items[i + 1] ?? key]]));
const get = (node, key) => (node?.items && isMap(node) ? entries(node).find(([k]) => k === key)?.[1] : undefined);
const isMap = (node) => node.kind === 'map' || node.kind === 'object';

/** A map's lines by what its keys mean; parts make lines of arrays that have a form of their own. */
function ofMap(node, meanings, frame, parts = {}) {
  if (!isMap(node)) return [plain('', node)];
  return entries(node).map(([key, v]) => entry(key, v, meanings, frame, parts));
}

function entry(key, node, meanings, frame, parts) {
  const note = Object.hasOwn(meanings, key) ? meanings[key] : '';
  if (key === 'error' && isMap(node)) return { ...line(key, node, errorText(node).split(':')[0], note, 'warn'), open: true, lines: () => ofMap(node, KEYS.wire_error, frame) };
  if (key === 'code') return line(key, node, show(node), errorMeans(Number(node.value)), 'warn');
  if (key === 'results' && node.items) return { ...plain(key, node, note), open: true, lines: () => each(node.items, result, frame) };
  if (Object.hasOwn(parts, key) && node.items) return { ...plain(key, node, note), open: true, lines: () => each(node.items, parts[key], frame) };
  if (key === 'fields' && node.items) return { ...plain(key, node, note), lines: () => node.items.map((name, bit) => fieldName(name, frame.type === 'hello' ? `bit ${bit}` : '')) };
  if (isMap(node)) return { ...plain(key, node, note), lines: () => ofMap(node, meanings, frame) };
  if ((key === 'time' || key === 'sent_at') && !node.items) return line(key, node, show(node), `${clock(node.value)}: ${note}`);
  return plain(key, node, note);
}

const fieldName = (name, key) => line(key, name, show(name), FIELD_KINDS[name.value] ?? 'of a newer node');

function result(node, i, frame) {
  if (!isMap(node)) return plain(`result ${i + 1}`, node);
  const error = get(node, 'error'), symbol = get(node, 'symbol')?.value ?? '';
  const note = error ? errorText(error) : entries(node).filter(([key]) => key !== 'symbol').map(([key, v]) => `${key} ${show(v)}`).join(' · ');
  return { ...line(`result ${i + 1}`, node, String(symbol), note, error ? 'warn' : ''), open: Boolean(error), lines: () => ofMap(node, { ...KEYS.reply, id: KEYS.update.id }, frame) };
}

const errorText = (node) => ['code', 'text'].map((key) => get(node, key)?.value ?? '?').join(' ');

// ---- anything

function line(key, node, text, note = '', tone = '') {
  const { at, end, kind } = node;
  return kind === 'wrong' ? { key, text: node.value, note: '', tone: 'wrong', at, end, kind } : { key, text, note, tone, at, end, kind };
}

/** A node without a meaning of its own. */
function plain(key, node, note = '') {
  if (!node.items) return line(key, node, show(node), note);
  const map = isMap(node), n = map ? node.items.length / 2 : node.items.length;
  const few = !map && n > 0 && n <= NAMES_SHOWN && node.items.every(({ items }) => !items);
  return {
    ...line(key, node, few ? node.items.map(show).join(', ') : `${n} ${n === 1 ? 'element' : 'elements'}`, note, holdsWrong(node) ? 'wrong' : ''),
    lines: () => (map ? entries(node).map(([k, v]) => plain(k, v)) : node.items.map((one, i) => plain(String(i), one))),
  };
}

const holdsWrong = (node) => node.kind === 'wrong' || (node.items?.length > 0 && holdsWrong(node.items.at(-1)));

/** A value as one reads it. */
function show({ kind, value: v, items }) {
  if (items) return `${items.length} elements`;
  return v === null ? (kind === 'nil' ? 'nil' : 'null') : kind === 'bin' || kind === 'ext' ? `${kind} ${v}` : String(v);
}

/** us since the epoch as a time of day, with all of its digits. */
function clock(us) {
  const ms = Math.floor(Number(us) / 1000);
  if (!(Math.abs(ms) < 8.64e15)) return 'no time';
  return new Date(ms).toISOString().replace('Z', String(Number(us) - ms * 1000).padStart(3, '0') + 'Z');
}
