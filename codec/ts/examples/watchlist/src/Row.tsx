import { memo } from 'react';
import type { Field, Tickwire } from '@tickwire/client';
import { useQuote } from '@tickwire/client/react';
import { useFlash } from './flash';

const FIELDS: readonly Field[] = ['bid', 'ask', 'last', 'open', 'volume', 'status'];
const compact = new Intl.NumberFormat('en', { notation: 'compact', minimumFractionDigits: 1, maximumFractionDigits: 1 });
const NONE = '–';

interface Props {
  client: Tickwire | undefined;
  symbol: string;
  rate: number;
  index: number;
  selected: boolean;
  onSelect: (index: number) => void;
}

/** A symbol: it renders when its own quote has changed, and when it is selected or no more. */
export const Row = memo(function Row({ client, symbol, rate, index, selected, onSelect }: Props) {
  const quote = useQuote(client, symbol, { rate, fields: FIELDS });
  const last = quote?.number('last') ?? null, open = quote?.number('open') ?? null, volume = quote?.number('volume') ?? null;
  const change = last !== null && open ? Math.round((10_000 * (last - open)) / open) / 100 : null;
  const cell = useFlash(last);
  const status = quote?.status ?? 'waiting';
  return (
    <div className="row" role="row" aria-rowindex={index + 2} aria-selected={selected} tabIndex={selected ? 0 : -1} data-status={status} onFocus={() => onSelect(index)}>
      <span role="rowheader">{symbol.slice(symbol.indexOf(':') + 1)}<i>{symbol.slice(0, symbol.indexOf(':'))}</i></span>
      <span role="gridcell">{quote?.text('bid') ?? NONE}</span>
      <span role="gridcell">{quote?.text('ask') ?? NONE}</span>
      <span role="gridcell" className="last" ref={cell}>{quote?.text('last') ?? NONE}</span>
      <span role="gridcell" className={change === null || change === 0 ? '' : change > 0 ? 'up' : 'down'}>
        {change === null ? NONE : `${change > 0 ? '+' : change < 0 ? '−' : ''}${Math.abs(change).toFixed(2)}%`}
      </span>
      <span role="gridcell">{volume === null ? NONE : compact.format(volume)}</span>
      <span role="gridcell">{status}</span>
    </div>
  );
});
