export type Op = 'subscribe' | 'unsubscribe' | 'set' | 'pause' | 'resume' | 'list' | 'ping' | 'auth';

/** What is held of a symbol: [symbol, history, seq]. */
export type Position = [symbol: string, history: number, seq: number];

/** What a client asks, without the id that its reply will have. */
export interface Request {
  op: Op;
  symbols?: readonly string[];
  fields?: readonly string[] | undefined;
  rate?: number | undefined;
  resume?: readonly Position[] | undefined;
  token?: string;
}

/** A request as a client sends it, in JSON: a node reads that on a connection in msgpack too, and requests are few. */
export function encodeRequest(id: number, { op, ...rest }: Request): string {
  return JSON.stringify({ op, id, ...rest });
}

/** Part of a subscription that fits one request. */
export interface Part { symbols: string[]; resume: Position[] }

const bytesOf = (x: unknown): number => JSON.stringify(x).length + 1;

/**
 * Divides symbols, with what is held of each (of a pattern: of many), into requests of
 * so many symbols and bytes. Positions that do not fit are left out: images come instead.
 */
export function* parts(symbols: readonly string[], held: (symbol: string) => Position[], mostSymbols: number, mostBytes: number): Generator<Part> {
  let part: Part = { symbols: [], resume: [] }, bytes = 0;
  for (const symbol of symbols) {
    const positions = held(symbol);
    const least = bytesOf(symbol) + (positions.length === 1 ? bytesOf(positions[0]) : 0);
    if (part.symbols.length > 0 && (part.symbols.length >= mostSymbols || bytes + least > mostBytes)) {
      yield part;
      part = { symbols: [], resume: [] };
      bytes = 0;
    }
    part.symbols.push(symbol);
    bytes += bytesOf(symbol);
    for (const p of positions) if ((bytes += bytesOf(p)) <= mostBytes) part.resume.push(p);
  }
  if (part.symbols.length > 0) yield part;
}
