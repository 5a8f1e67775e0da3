import { useEffect, useRef, useState, type KeyboardEvent } from 'react';
import { Tickwire } from '@tickwire/client';
import { useTickwire } from '@tickwire/client/react';
import { Row } from './Row';
import { StatusLine } from './StatusLine';

const ROWS_MOST = 500;
const COLUMNS = ['Symbol', 'Bid', 'Ask', 'Last', 'Change', 'Volume', 'Status'];
const PAGE = 20; // rows that PageUp and PageDown move by

export function Watchlist({ node, rate }: { node: string; rate: number }) {
  const client = useTickwire(() => new Tickwire({ url: node }));
  const symbols = useSymbols(client, node);
  const [selected, select] = useState(0);
  const rows = useRef<HTMLDivElement>(null);

  function move(e: KeyboardEvent): void {
    const to = { ArrowDown: selected + 1, ArrowUp: selected - 1, PageDown: selected + PAGE, PageUp: selected - PAGE, Home: 0, End: symbols.length - 1 }[e.key];
    if (to === undefined) return;
    e.preventDefault();
    const row = Math.max(0, Math.min(symbols.length - 1, to));
    select(row);
    (rows.current?.children[row] as HTMLElement | undefined)?.focus();
  }

  return (
    <main>
      <StatusLine client={client} symbols={symbols.length} rate={rate} />
      <div className="list" role="grid" aria-label="Watchlist" aria-rowcount={symbols.length + 1} onKeyDown={move}>
        <div className="row head" role="row" aria-rowindex={1}>
          {COLUMNS.map((name) => <span key={name} role="columnheader">{name}</span>)}
        </div>
        <div ref={rows} role="rowgroup">
          {symbols.map((symbol, i) => <Row key={symbol} client={client} symbol={symbol} rate={rate} index={i} selected={i === selected} onSelect={select} />)}
        </div>
        {symbols.length === 0 && <p className="blank">Waiting for {node} to name its symbols</p>}
      </div>
    </main>
  );
}

/** What is on the board, as the node says at the beginning of each connection. */
function useSymbols(client: Tickwire | undefined, node: string): readonly string[] {
  const [symbols, setSymbols] = useState<readonly string[]>([]);
  useEffect(() => client?.on('hello', async () => {
    const answer = await fetch(new URL('/v1/symbols', node.replace(/^ws/, 'http'))).catch(() => undefined); // the next connection asks again
    if (!answer?.ok) return;
    const all = ((await answer.json()) as { symbols: string[] }).symbols.slice(0, ROWS_MOST);
    setSymbols((had) => (had.join() === all.join() ? had : all));
  }), [client, node]);
  return symbols;
}
