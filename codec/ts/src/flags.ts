/** Flags of an update; other bits are a newer node's. */
export const IMAGE = 1; // replaces everything: fields not in the mask are not known
export const CONFLATED = 2; // merges several updates, for the reason in bits 2-3
export const GAP = 16; // the venue's stream, or the tape, was interrupted before this

/** Why updates were merged: the rate asked for, our slow socket, or they came together or while we were away. */
export type Reason = 'rate' | 'slow' | 'catch-up';
export const REASONS: readonly Reason[] = ['rate', 'slow', 'catch-up'];

/** Why an update with these flags merges several; null when it does not. */
export function reasonOf(flags: number): Reason | null {
  return flags & CONFLATED ? (REASONS[((flags >> 2) & 3) - 1] ?? null) : null;
}
