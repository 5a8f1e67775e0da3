import { useEffect, useState } from 'react';
import type { Tickwire } from '@tickwire/client';
import { useConnectionState } from '@tickwire/client/react';

const WORDS = { connecting: 'Connecting', live: 'Live', stale: 'Stale', closed: 'Closed' };
const count = new Intl.NumberFormat('en');

export function StatusLine({ client, symbols, rate }: { client: Tickwire | undefined; symbols: number; rate: number }) {
  const state = useConnectionState(client);
  const { updates, conflated, text } = useCounts(client);
  return (
    <header>
      <h1>Watchlist</h1>
      <p className="state" data-state={state} role="status" title={text}>{WORDS[state]}</p>
      <dl>
        <div><dt>Symbols</dt><dd>{count.format(symbols)}</dd></div>
        <div><dt>At most</dt><dd>{rate ? `${rate}/s each` : 'all of them'}</dd></div>
        <div><dt>Updates</dt><dd data-id="updates">{count.format(updates)}/s</dd></div>
        <div><dt>Conflated</dt><dd data-id="conflated">{count.format(conflated)}</dd></div>
      </dl>
    </header>
  );
}

/** Updates of the last second, those that were not sent so far, and why the state is what it is. */
function useCounts(client: Tickwire | undefined): { updates: number; conflated: number; text: string } {
  const [counts, setCounts] = useState({ updates: 0, conflated: 0, text: '' });
  useEffect(() => {
    if (!client) return;
    let updates = 0, text = '';
    const ends = [client.on('batch', ({ quotes }) => { updates += quotes.length; }), client.on('state', (e) => { text = e.text; })];
    const timer = setInterval(() => {
      setCounts({ updates, conflated: client.conflated, text });
      updates = 0;
    }, 1000);
    return () => {
      clearInterval(timer);
      ends.forEach((end) => end());
    };
  }, [client]);
  return counts;
}
