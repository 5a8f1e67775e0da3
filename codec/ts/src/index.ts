export { Tickwire, type Batch, type Events, type State, type TokenEvent } from './client.js';
export { Board, type QuoteEvent } from './board.js';
export { decimalText, MAX_INT, MAX_SCALE } from './decimal.js';
export { CloseCode, Code, ConfigError, FinalError, NotConnected, ProtocolError, RequestError, TickwireError, type ErrorClass, type WireError } from './error.js';
export { IMAGE, CONFLATED, GAP, reasonOf, type Reason } from './flags.js';
export { parseMessage, symbolHash, type Hello, type Heartbeat, type Limits, type Message, type Reply, type Result } from './message.js';
export { FIELDS, STATUSES, fieldsOf, type Field, type QuoteView, type Status } from './quote.js';
export type { Options } from './options.js';
export { encodeRequest, type Encoding, type Op, type Position, type Request } from './request.js';
export type { TokenSource } from './token.js';
export type { Terms } from './terms.js';
export type { Update } from './update.js';
export { encode } from '@msgpack/msgpack'; // for what is no Request: the page's console sends what one types
