// A frame as the JSON that says the same: a data message of msgpack becomes what the
// node would have sent in tickwire.v1.json, with the scales that were held then.
import { GAP, IMAGE, STATUSES, decimalText, fieldsOf, parseMessage, reasonOf } from '../tickwire.js';
import { readJSON } from './json.js';
import { FIELD_KINDS, isScale } from './protocol.js';
import { readMsgpack } from './msgpack.js';

const INDENTED_MOST = 65_536; // bytes; of more than a node sends the white space alone might be too much

export function decoded(frame) {
  return JSON.stringify(of(frame), (_, v) => (typeof v === 'bigint' ? String(v) : v), frame.bytes <= INDENTED_MOST ? 2 : 0);
}

function of(frame) {
  const { kind, data, out } = frame;
  if (kind === 'close') return { code: frame.code, reason: frame.reason };
  try {
    if (kind === 'text') {
      readJSON(data); // refuses what is nested too deeply to be written again
      return JSON.parse(data);
    }
    const m = out ? null : parseMessage(data);
    if (m?.type === 'data') return { type: 'data', sent_at: m.sentAt, updates: m.updates.map((u) => update(u, frame)) };
    if (m && m.type !== 'unknown') return m;
  } catch { /* wrong: as it is */ }
  return kind === 'text' ? data : tree(readMsgpack(data)[0]);
}

function update({ key, seq, flags, history, mask, values }, { session, n }) {
  const u = { symbol: session.names.get(key) ?? key, seq };
  if (flags & IMAGE) Object.assign(u, { image: true, history });
  if (reasonOf(flags)) u.conflated = reasonOf(flags);
  if (flags & GAP) u.gap = true;
  const fields = fieldsOf(mask), own = Object.fromEntries(fields.map((name, i) => [name, values[i]]));
  for (const name of fields) {
    const v = own[name], kind = FIELD_KINDS[name], scale = own[kind + '_scale'] ?? session.scale(key, kind, n);
    u[name] = Number.isNaN(v) ? null : kind === 'status' ? STATUSES[v] ?? v : ['price', 'size', 'volume'].includes(kind) && isScale(scale) ? decimalText(v, scale) : v;
  }
  return u;
}

function tree({ kind, items, value }) {
  if (!items) return value;
  if (kind === 'array') return items.map(tree);
  return Object.fromEntries(items.flatMap((key, i) => (i % 2 ? [] : [[String(key.value), items[i + 1] ? tree(items[i + 1]) : null]])));
}
