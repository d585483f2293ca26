/** Lengths of time as they are typed: `90m`, `1h 30m`, `7d`. */

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** In milliseconds; undefined if it is none. */
export function readLength(text: string): number | undefined {
  const parts = [...text.trim().matchAll(/(\d+)\s*([smhdw])\s*/gy)];
  const length = parts.reduce((sum, [all]) => sum + all.length, 0);
  if (parts.length === 0 || length !== text.trim().length) return undefined;
  const sum = parts.reduce((sum, [, number, unit = ""]) => sum + Number(number) * (UNITS[unit] ?? NaN), 0);
  return Number.isSafeInteger(sum) && sum > 0 ? sum : undefined;
}
