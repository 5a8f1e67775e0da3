import { useCallback, useEffect, useMemo, useState, useSyncExternalStore } from 'react';
import type { State, Tickwire } from './client.js';
import type { QuoteView } from './quote.js';
import { quoteStore, type StoreTerms } from './store.js';

const nobody = (): (() => void) => () => {};
const nothing = (): undefined => undefined;

/**
 * The quote of a symbol, subscribed to while the component is mounted; it renders again
 * when the quote has changed, at most once a frame. Undefined: none came yet.
 */
export function useQuote(client: Tickwire | undefined, symbol: string, terms: StoreTerms = {}): QuoteView | undefined {
  const { rate, frames } = terms, fields = terms.fields?.join();
  const store = useMemo(() => client && quoteStore(client, symbol, { rate, frames, fields: fields ? fields.split(',') : terms.fields && [] }), [client, symbol, rate, frames, fields]);
  return useSyncExternalStore(store?.subscribe ?? nobody, store?.getSnapshot ?? nothing, nothing);
}

/** The state of the connection: connecting, live, stale or closed. */
export function useConnectionState(client: Tickwire | undefined): State {
  const subscribe = useCallback((listener: () => void) => client?.on('state', listener) ?? nobody(), [client]);
  return useSyncExternalStore(subscribe, () => client?.state ?? 'connecting', () => 'connecting');
}

/**
 * A client that lives as long as the component: made when it is mounted, closed when it is
 * unmounted; undefined before. `useTickwire(() => new Tickwire({ url }))`: for another URL
 * give the component another key.
 */
export function useTickwire(make: () => Tickwire): Tickwire | undefined {
  const [client, setClient] = useState<Tickwire>();
  useEffect(() => {
    const made = make();
    setClient(made);
    return () => made.close();
  }, []); // once, whatever make is the next time
  return client;
}
