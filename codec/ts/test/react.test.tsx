// @vitest-environment happy-dom
import { act, useEffect, useState, StrictMode, type ReactNode } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Tickwire } from '../src/index.js';
import { useQuote, useConnectionState, useTickwire } from '../src/react.js';
import { Peer, until } from './peer.js';

let peer: Peer, t: Tickwire, root: Root, frame: (() => void)[] = [];
const box = (): HTMLElement => document.body.firstElementChild as HTMLElement;
const text = (): string => box().textContent!;

beforeEach(async () => {
  Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true, requestAnimationFrame: (fn: () => void) => frame.push(fn) });
  peer = await Peer.start();
  for (const s of ['A', 'B', 'C']) peer.list(`sim:${s}`);
  t = new Tickwire({ url: peer.url, WebSocket });
  document.body.innerHTML = '<div></div>';
  root = createRoot(box());
  frame = [];
});
afterEach(async () => {
  await act(async () => root.unmount());
  t.close();
  await peer.stop();
});

const show = (children: ReactNode): Promise<void> => act(async () => root.render(<StrictMode>{children}</StrictMode>));
/** All that was sent is merged, and painted. */
async function paint(): Promise<void> {
  await t.ping().catch(() => {});
  await act(async () => frame.splice(0).forEach((fn) => fn()));
}
const live = (): Promise<void> => until('live', () => t.state === 'live');
const asked = (): string[] => peer.conn.requests.filter((r) => r.op !== 'ping').map((r) => `${r.op} ${r.symbols.join()}${r.rate ? ` at ${r.rate}` : ''}`);

/** Renders, as committed, by symbol. */
let renders: Record<string, number> = {};
function Bid({ symbol, rate }: { symbol: string; rate?: number }): ReactNode {
  const quote = useQuote(t, symbol, { rate, fields: ['bid', 'ask'] });
  useEffect(() => { renders[symbol] = (renders[symbol] ?? 0) + 1; });
  return <b>{symbol}={quote?.text('bid') ?? '-'} </b>;
}

it('renders who uses a quote when it has changed, once a frame', async () => {
  renders = {};
  await live();
  await show(<><Bid symbol="sim:A" /><Bid symbol="sim:B" /></>);
  expect(text()).toBe('sim:A=- sim:B=- ');
  await paint();
  expect([text(), asked()]).toEqual(['sim:A=1.00 sim:B=1.00 ', ['subscribe sim:A,sim:B']]);
  renders = {};
  for (const bid of [101, 102, 103]) peer.tick('sim:A', { bid });
  await t.ping();
  expect([text(), renders]).toEqual(['sim:A=1.00 sim:B=1.00 ', {}]);
  await paint();
  expect([text(), renders]).toEqual(['sim:A=1.03 sim:B=1.00 ', { 'sim:A': 1 }]);
  await paint();
  peer.tick('sim:A', { bid: 103 }); // as it was
  await paint();
  expect(renders).toEqual({ 'sim:A': 1 });
});

it('subscribes to another symbol, on other terms, and to no more', async () => {
  await live();
  await show(<Bid symbol="sim:A" />);
  await paint();
  await show(<Bid symbol="sim:B" rate={5} />);
  await paint();
  expect(text()).toBe('sim:B=1.00 ');
  await show(<Bid symbol="sim:B" rate={5} />); // the same terms in another object
  await show(<Bid symbol="sim:B" rate={2} />);
  await show(null);
  await until('nothing is held', () => t.quotes.size === 0, 4000);
  await t.ping();
  expect(asked().slice(0, 3)).toEqual(['subscribe sim:A', 'subscribe sim:B at 5', 'subscribe sim:B at 2']);
  expect(asked().slice(3).map((ask) => ask.replace('unsubscribe ', '')).join()).toBe('sim:A,sim:B'); // at a time, if rendering was fast
});

it('asks for all fields where the client has others', async () => {
  t.close();
  t = new Tickwire({ url: peer.url, WebSocket, fields: ['bid'] });
  await live();
  function All(): ReactNode { return useQuote(t, 'sim:A', { fields: [] })?.text('ask') ?? '-'; }
  await show(<All />);
  await paint();
  expect(text()).toBe('1.02');
});

it('takes a quote that others use as it is, in the first render', async () => {
  await live();
  await show(<Bid symbol="sim:A" />);
  await paint();
  const seen: unknown[] = [];
  function Late(): ReactNode {
    seen.push(useQuote(t, 'sim:A')?.text('bid'));
    return null;
  }
  await show(<><Bid symbol="sim:A" /><Late /></>);
  expect(seen[0]).toBe('1.00');
});

it('tells the state', async () => {
  function Status(): ReactNode { return useConnectionState(t); }
  await show(<Status />);
  expect(text()).toBe('connecting');
  await act(live);
  expect(text()).toBe('live');
  await act(async () => t.close());
  expect(text()).toBe('closed');
});

it('makes a client when it is mounted, and closes it with the component', async () => {
  const made: Tickwire[] = [];
  function App(): ReactNode {
    const client = useTickwire(() => {
      made.push(new Tickwire({ url: peer.url, WebSocket }));
      return made.at(-1)!;
    });
    const quote = useQuote(client, 'sim:A'), state = useConnectionState(client), [, again] = useState(0);
    useEffect(() => { if (quote) again(1); }, [quote]);
    return `${state} ${quote?.text('bid') ?? '-'}`;
  }
  await show(<App />);
  await act(() => until('the second is live', () => made[1]?.state === 'live'));
  await act(() => until('an image', () => made[1]!.quotes.get('sim:A')?.seq === 2000));
  await paint();
  expect([made.length, made[0]!.state, text()]).toEqual([2, 'closed', 'live 1.00']); // StrictMode mounts twice
  await show(null);
  expect(made.map((c) => c.state)).toEqual(['closed', 'closed']);
});

it('renders on a server, where nobody is asked', () => {
  expect(renderToString(<Bid symbol="sim:A" />)).toContain('-');
});
