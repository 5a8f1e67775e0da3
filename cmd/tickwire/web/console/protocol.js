// The tables of PROTOCOL.md, as far as the console tells them: numbers, names, what they
// mean. A test holds them against that page. No DOM: it runs anywhere.

/** Section 4: messages of the node, by type. */
export const TYPES = ['data', 'hello', 'reply', 'heartbeat', 'lag', 'drain', 'error'];

/** Section 5. */
export const OPS = ['subscribe', 'unsubscribe', 'set', 'pause', 'resume', 'list', 'ping', 'auth'];

/** Section 2: what a field is, and where its decimals are. */
export const FIELD_KINDS = {
  __proto__: null, // asked for whatever name comes
  bid: 'price', bid_size: 'size', ask: 'price', ask_size: 'size', last: 'price', last_size: 'size', volume: 'volume', turnover: 'volume',
  open: 'price', high: 'price', low: 'price', vwap: 'price', trades: 'count', status: 'status', event_time: 'us', recv_time: 'us',
  price_scale: 'scale', size_scale: 'scale', volume_scale: 'scale',
};

/** How many decimals there may be. */
export const isScale = (v) => Number.isInteger(v) && v >= 0 && v <= 15;

export const STATUS_MEANS = {
  __proto__: null,
  live: 'as the venue has it',
  stale: 'the venue, the feed or the tape has been silent for longer than is its habit',
  down: 'the venue cannot be reached',
  halted: 'the venue says that it does not trade',
  closed: 'the source has ended',
};

/** Section 4: the flags of an update in msgpack; bits 2 and 3 are the reason of CONFLATED. */
export const FLAG_MEANS = {
  IMAGE: 'replaces everything: fields not in the mask are absent',
  CONFLATED: 'merges several updates',
  rate: 'for the rate asked for',
  slow: 'for the socket was full',
  'catch-up': 'for they came together, or while the client was away or paused',
  GAP: "the venue's stream, or the tape, was interrupted before this",
};

/** Section 4: the keys of each message, and section 5's of a request. */
export const KEYS = {
  data: { sent_at: "when the node sent it, by the node's clock", updates: 'one per symbol that changed, in no order' },
  hello: {
    protocol: 'version of the protocol', node: 'name of the node', time: "the node's clock", fields: 'names by bit of a mask',
    heartbeat: 'ms of silence after which a heartbeat comes', periods: 'ms between two updates that a rate may be rounded to; 0 is raw',
    limits: 'of requests', token_ttl: 'seconds the token is good for; null if the node asks for none',
    request_bytes: 'of a request, at the most', request_symbols: 'of a request, at the most', subs: 'of this connection, at the most',
    requests_per_s: 'that a connection is given; a request costs one and more',
  },
  reply: {
    id: 'of the request', op: 'of the request', rate: 'in effect: updates a second and symbol; 0 is raw', fields: 'in effect, when narrower than all',
    time: "the node's clock", token_ttl: 'seconds the token is good for', results: 'one per symbol',
    symbol: 'as it was given', matched: 'symbols that the pattern takes now', error: 'of this symbol alone',
  },
  heartbeat: {
    time: "the node's clock", subs: 'subscriptions of this connection', hash: "XOR over them of the 32-bit FNV-1a hash of the symbol's bytes",
  },
  lag: { blocked_ms: 'for how long the socket took nothing; what follows is merged' },
  drain: { within_ms: 'a close with 1012 follows at a random moment within: connect again then' },
  error: { id: 'of the request; missing when it could not be read' },
  request: {
    op: 'what is asked', id: 'comes back in the reply', symbols: 'symbols, and patterns that end in *', fields: 'narrows updates to these and the scales they need',
    rate: 'updates a second and symbol; 0, or none, is raw', resume: '[symbol, history, seq] of what is held', token: 'takes the place of the one before',
  },
  update: {
    symbol: 'venue:NAME', id: "the node's number for the symbol, of this connection", seq: 'of the update', image: 'replaces everything',
    history: 'the run of seqs, by the Unix ms at which it began', conflated: 'merges several updates, for this reason', gap: 'interrupted before this',
  },
  wire_error: { code: '', text: 'begins with the name', retry: 'whether the same may succeed later' },
};

/** Section 6: code: [name, retry, why]. */
export const ERRORS = {
  100: ['malformed', false, 'not a map, or a key of the wrong type'],
  101: ['unknown_op', false, 'an op that is not in section 5'],
  110: ['bad_symbol', false, 'not venue:NAME of at most 64 visible ASCII characters'],
  111: ['unknown_symbol', true, 'not on the board, so far'],
  112: ['not_subscribed', false, 'no such name is held'],
  113: ['unknown_field', false, 'no name of hello.fields'],
  114: ['bad_rate', false, 'negative, or below 0.1'],
  115: ['bad_resume', false, 'not [symbol, history, seq]'],
  120: ['too_many_symbols', false, 'more than 4,096, or as many positions, in one request'],
  121: ['too_many_subs', false, 'more than hello.limits.subs, 16 patterns, or 64 different terms on this connection'],
  122: ['too_many_requests', true, 'the budget is spent; the request was not read'],
  130: ['not_allowed', false, 'the token does not cover it'],
  131: ['token_refused', false, 'the token is refused, or of another sub, or the node takes none'],
  140: ['unavailable', true, 'the node cannot say now: it is behind, keeps too much for slow readers, or verifies another token'],
};

/** An error's code in words: "111 unknown_symbol: not on the board, so far. May succeed later." */
export function errorMeans(code) {
  const known = ERRORS[code];
  return known ? `${known[0]}: ${known[2]}. ${known[1] ? 'It may succeed later: ask again after a second.' : 'The same will fail again.'}` : 'no code of this version';
}

/** Section 7: code: [final, why]. */
export const CLOSES = {
  1000: [false, 'the client closed'],
  1001: [false, 'going away'],
  1002: [true, 'a frame that RFC 6455 forbids'],
  1003: [true, 'data of a kind that is not taken'],
  1007: [true, 'text that is not UTF-8'],
  1008: [true, 'more than 1,000 frames beyond the budget'],
  1009: [true, 'a message of more than 65,536 bytes'],
  1011: [false, 'the node failed'],
  1012: [false, 'the node restarts'],
  1013: [false, 'the node is overloaded'],
  4001: [true, 'token revoked'],
  4002: [true, 'token expired'],
  4003: [true, 'replaced: the same sub has a newer connection, and may have no more'],
  4100: [false, 'stalled: the socket took too little for 30 s, or no ping was answered'],
  4101: [false, 'silent: a message was begun and not ended in 10 s, or nothing was subscribed to and nothing asked for 5 minutes'],
};

/** A close code in words, and whether coming back cannot help. */
export function closeMeans(code) {
  if (CLOSES[code]) return { final: CLOSES[code][0], why: CLOSES[code][1] };
  if (code === 1005) return { final: false, why: 'a close frame without a code' };
  if (code === 1006) return { final: false, why: 'no close frame: the TCP connection ended' };
  return { final: code >= 4000 && code < 4100, why: 'no code of this version' };
}

/** Section 8: why a client refuses a message. */
export const REFUSALS = {
  truncated: 'the bytes end before a value does, or a length says more than there are',
  trailing: 'bytes after the end',
  type: 'a value of another type than is due',
  range: 'a number, or a symbol, out of its bounds',
  count: 'an array with more or fewer elements than the mask and flags say',
  syntax: 'text that is not JSON, or a decimal that is none',
  version: 'of another version of the protocol',
  order: 'right by itself, but not after what came before',
};
