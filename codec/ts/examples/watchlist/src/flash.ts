import { useLayoutEffect, useRef } from 'react';

const LIT_MS = 300;
const lit = new Map<HTMLElement, number>(); // since when
let sweep: ReturnType<typeof setInterval> | undefined;

/**
 * Lights an element for a moment when a price goes up or down. No animation: that would
 * have the browser look at every cell in every frame.
 */
export function useFlash(price: number | null) {
  const cell = useRef<HTMLSpanElement>(null), before = useRef(price);
  useLayoutEffect(() => {
    const had = before.current;
    before.current = price;
    if (had === null || price === null || had === price) return;
    cell.current!.dataset.flash = price > had ? 'up' : 'down';
    lit.set(cell.current!, performance.now());
    sweep ??= setInterval(darken, LIT_MS / 3);
  }, [price]);
  return cell;
}

function darken(): void {
  const due = performance.now() - LIT_MS;
  for (const [cell, since] of lit) {
    if (since > due) continue;
    delete cell.dataset.flash;
    lit.delete(cell);
  }
  if (lit.size === 0) sweep = clearInterval(sweep) as undefined;
}
