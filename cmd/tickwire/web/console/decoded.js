// A frame as the JSON that says the same: a data message of msgpack becomes what the
// node would have sent in tickwire.v1.json, with the scales that were held then.
import { GAP, IMAGE, STATUSES, decimalText, fieldsOf, parseMessage, reasonOf } from '../tickwire.js';
import { FIELD_KINDS } from './protocol.js';
import { readMsgpack } from './msgpack.js';

export function decoded(frame) {
  return JSON.stringify(of(frame), (_, v) => (typeof v === 'bigint' ? String(v) : v), 2);
}

function of(frame) {
  const { kind, data, out } = frame;
  if (kind === 'close') return { code: frame.code, reason: frame.reason };
  try {
    if (kind === 'text') return JSON.parse(data);
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
    u[name] = Number.isNaN(v) ? null : kind === 'status' ? STATUSES[v] ?? v : ['price', 'size', 'volume'].includes(kind) && scale !== undefined ? decimalText(v, scale) : v;
  }
  return u;
}

function tree({ kind, items, value }) {
  if (!items) return value;
  if (kind === 'array') return items.map(tree);
  return Object.fromEntries(items.flatMap((key, i) => (i % 2 ? [] : [[String(key.value), items[i + 1] ? tree(items[i + 1]) : null]])));
}
