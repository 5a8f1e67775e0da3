export { Tickwire, type Events, type Options, type State, type Terms } from './client.js';
export { Board } from './board.js';
export { FIELDS, STATUSES, Quote, type Field, type Reason, type Status } from './quote.js';
export { ProtocolError, parseMessage, parseMessageJSON, symbolHash, type Hello, type Message, type Result, type Update, type WireError } from './message.js';
