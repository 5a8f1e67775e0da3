import { NotConnected, ProtocolError, RequestError, refuse, type TickwireError } from './error.js';
import { parseMessage, type Hello, type Message, type Reply } from './message.js';
import { encodeRequest, type Request } from './request.js';

const HELLO_MS = 10_000; // for the connection and its hello; a node takes as long for a request head
const STALE_HEARTBEATS = 2.5;
const AGAIN_MS = 1_000; // before a request that may succeed later is sent again
const BYE_MS = 200; // a close frame and its answer may take so long
const MESSAGE_MOST = 4 << 20; // bytes; a node ends data messages near 16 KiB

/** The longest that a node may have us wait for anything. */
export const HOUR_MS = 3_600_000;

/** To Node's ws; others take none. */
export const SOCKET_OPTIONS = { perMessageDeflate: false, maxPayload: MESSAGE_MOST };

/** Why a connection ended. */
export interface Lost {
  code: number;
  text: string;
  /** What is held may be wrong: come back without resuming. */
  distrust?: TickwireError | undefined;
  /** Nothing was heard for too long. */
  silent: boolean;
  /** Of a refused upgrade: why, in a word of the protocol's. */
  reason?: string | undefined;
  /** ms that the node wants to be left alone at the least. */
  afterMs?: number;
}

export interface Handler {
  /** A message other than the reply to a request that is open. */
  message(m: Message): void;
  /** Once, and the last thing heard of the session. */
  lost(why: Lost): void;
}

/** Reads text messages; a connection in msgpack has none. */
export type ParseText = (text: string) => Message;
const noText: ParseText = () => refuse('type', 'text is JSON');

/** What a request comes to: its reply, or why not: a RequestError, or NotConnected at the connection's end. */
export type Done = (reply: Reply | undefined, error: TickwireError | undefined) => void;

/** Close codes, and statuses of a refused upgrade, after which coming back as we are cannot help. */
export function isFinal(code: number): boolean {
  return /^(4(?!08|29)\d\d|100[23789]|40\d\d)$/.test(`${code}`);
}

/**
 * One connection: bytes to messages, requests to their answers, and an end, be it the
 * node's, silence, or a message that is wrong.
 */
export class Session {
  readonly #socket: WebSocket;
  readonly #handler: Handler;
  readonly #parseText: ParseText;
  readonly #open = new Map<number, Done>(); // in the order asked, which is that of the answers
  readonly #later = new Set<Done>(); // of requests to be sent again
  #auth = 0; // id of a new token's request without an answer yet
  #behind: [id: number, r: Request, done: Done][] = []; // wait for that, and are held to the new token
  #requests = 0;
  readonly began = Date.now();
  #heard = this.began;
  #watch: ReturnType<typeof setTimeout> | undefined;
  #silenceMs = HELLO_MS;
  #over = false;
  /** Data or a reply came: the way is free. */
  talked = false;
  hello: Hello | undefined;
  /** Bytes of messages received. */
  bytes = 0;

  /** token: that the node took last. */
  constructor(socket: WebSocket, public token: string, handler: Handler, parseText: ParseText = noText) {
    this.#socket = socket;
    this.#handler = handler;
    this.#parseText = parseText;
    socket.binaryType = 'arraybuffer';
    socket.onmessage = (e) => this.#received(e.data as string | ArrayBuffer);
    socket.onerror = (e) => this.#failed((e as { message?: string }).message);
    socket.onclose = (e) => this.end({ code: e.code, text: e.reason });
    this.#watchOver();
  }

  /** Whether a request has no answer yet, or waits to be sent again. */
  get busy(): boolean {
    return this.#open.size + this.#later.size + this.#behind.length > 0;
  }

  /**
   * Sends a request and returns its id; done hears of it once, before any later message.
   * A node may answer what comes behind a new token before that, under the old one: it is
   * sent when the token is answered.
   */
  request(r: Request, done: Done): number {
    this.#send(++this.#requests, r, done);
    return this.#requests;
  }

  #send(id: number, r: Request, done: Done): void {
    if (this.#auth) return void this.#behind.push([id, r, done]);
    if (r.op === 'auth') this.#auth = id;
    this.#open.set(id, done);
    this.#socket.send(encodeRequest(id, r));
  }

  /**
   * A request as a promise; a patient one is sent again while the node says to retry. It
   * is made anew each time: what it asks for may have changed meanwhile. What took does
   * with the reply, and refused when there will be none though the connection lives, is
   * done before any later message, and before the connection ends.
   */
  call(make: () => Request, patient: boolean, took?: (reply: Reply, asked: Request) => void, refused?: (asked: Request) => void): Promise<Reply> {
    return new Promise((resolve, reject) => {
      let asked: Request;
      const done: Done = (reply, error) => {
        if (reply) {
          resolve(reply); // who waits hears of it later
          took?.(reply, asked);
        } else if (patient && error!.retry && error!.code !== 0) {
          this.#later.add(done);
          setTimeout(() => this.#later.delete(done) && this.request((asked = make()), done), AGAIN_MS * (0.8 + 0.4 * Math.random()));
        } else {
          if (error!.code !== 0) refused?.(asked);
          reject(error!);
        }
      };
      this.request((asked = make()), done);
    });
  }

  /** Ends the session from our side; the handler hears no more of it. */
  close(text: string): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#watch);
    const s = this.#socket as WebSocket & { terminate?: () => void };
    s.onmessage = s.onclose = null;
    s.onerror = () => {}; // closing before it is open is one, to ws
    s.close(1000, text.slice(0, 40).replace(/[^ -~]/g, '?'));
    if (s.terminate) setTimeout(() => s.terminate!(), BYE_MS).unref?.(); // ws would wait half a minute for the answer, and read on
    const waiting = [...this.#open.values(), ...this.#later, ...this.#behind.map(([, , done]) => done)];
    this.#behind = [];
    this.#later.clear();
    for (const done of waiting) done(undefined, new NotConnected('the connection ended', true));
  }

  /** Ends the session because what came, or is held, is wrong. */
  giveUp(why: TickwireError): void {
    this.end({ text: why.text, distrust: why });
  }

  #received(data: string | ArrayBuffer): void {
    if (this.#over) return;
    this.#heard = Date.now();
    const text = typeof data === 'string';
    const size = text ? data.length : data.byteLength;
    this.bytes += size;
    try {
      if (size > MESSAGE_MOST) refuse('range', `a message of ${size} bytes`);
      this.#take(text ? this.#parseText(data) : parseMessage(new Uint8Array(data)));
    } catch (e) {
      if (!(e instanceof ProtocolError)) throw e;
      if (e.kind === 'version') this.end({ code: 1002, text: e.text }); // final
      else this.giveUp(e);
    }
  }

  #take(m: Message): void {
    switch (m.type) {
      case 'data':
      case 'reply':
        this.talked = true;
        // A pattern's later reply has the id of one that was answered: nobody waits for it.
        if (m.type === 'reply' && this.#answered(m.id, m, undefined)) return;
        break;
      case 'hello':
        if (this.hello) return; // once is enough
        if (Object.values(m.limits).some((n) => !n || n > 1e6)) refuse('range', 'a limit of hello');
        this.hello = m;
        if (m.heartbeat > 0 && m.heartbeat <= HOUR_MS) this.#silenceMs = STALE_HEARTBEATS * m.heartbeat;
        this.#watchOver();
        break;
      case 'error':
        // An error without an id that we know is of the oldest request: answers come in order.
        this.#answered(m.id != null && this.#open.has(m.id) ? m.id : [...this.#open.keys()][0], undefined, new RequestError(m));
    }
    this.#handler.message(m);
  }

  #answered(id = -1, reply: Reply | undefined, error: TickwireError | undefined): boolean {
    const done = this.#open.get(id);
    if (!done) return false;
    this.#open.delete(id);
    if (id !== this.#auth) {
      done(reply, error);
      return true;
    }
    this.#auth = 0;
    done(reply, error); // what this asks for is older than what waits
    const behind = this.#behind;
    this.#behind = [];
    for (const request of behind) this.#send(...request);
    return true;
  }

  /**
   * Looks at the silence every so often. A look that comes late says that we slept (a
   * hidden tab, a closed lid) and not the node: what waits in our own queue is heard
   * first, once.
   */
  #watchOver(slept = false): void {
    clearTimeout(this.#watch);
    const from = Date.now(), after = Math.min(this.#silenceMs, slept ? 1000 : HELLO_MS) / 4;
    this.#watch = setTimeout(() => {
      const now = Date.now(), silence = now - this.#heard;
      if (silence <= this.#silenceMs) this.#watchOver();
      else if (!slept && now - from > after + 1000) this.#watchOver(true);
      else this.end({ text: `nothing heard for ${(silence / 1000).toFixed(1)} s`, silent: true });
    }, after);
  }

  /** Only outside browsers: why there was no connection, or what the node sent that RFC 6455 forbids; its close may never come. */
  #failed(text = ''): void {
    const [, status] = /server response: (\d{3})/.exec(text) ?? [];
    if (text) this.end({ code: +(status ?? 1006), text: status ? '' : text, distrust: this.hello && new ProtocolError('syntax', text) });
  }

  /** Ends the session, and tells why. */
  end(why: Partial<Lost> & { text: string }): void {
    if (this.#over) return;
    this.close(why.text);
    this.#handler.lost({ code: 1006, silent: false, ...why });
  }
}
