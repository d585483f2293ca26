/** Parses durations that users type. The grammar is that of `monitor-duration`; the tests of both read the same `cases.txt`. */

const DAY = 86_400_000_000_000n;
/** Lengths in nanoseconds. */
const UNITS: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1000n,
  "\u00b5s": 1000n,
  "\u03bcs": 1000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
  d: DAY,
  w: 7n * DAY,
};
/** Maximum duration: one hundred years. */
const LONGEST = 36_500n * DAY;
/** Maximum number of decimal places. Any further place is less than a nanosecond, even in weeks. */
const MOST_PLACES = 15;

/** Parses `500ms`, `90s`, `1.5h` or `1h30m` into nanoseconds; undefined if the text is invalid. */
export function readDuration(text: string): bigint | undefined {
  const parts = /(?:(\d+)(?:\.(\d*))?|\.(\d+))\p{White_Space}*(\p{Lowercase}+)\p{White_Space}*/uy;
  const given = text.replace(/^\p{White_Space}+/u, "");
  let sum = 0n;
  do {
    const [, whole = "0", decimals = "", only = "", unit = ""] = parts.exec(given) ?? [];
    const length = UNITS[unit];
    if (length === undefined) return undefined;
    const places = (decimals + only).slice(0, MOST_PLACES);
    sum += BigInt(whole) * length + (BigInt(places || "0") * length) / 10n ** BigInt(places.length);
  } while (parts.lastIndex < given.length);
  return sum <= LONGEST ? sum : undefined;
}

/** Parses a non-zero duration into whole milliseconds, rounded up, as the server's API expects. */
export function readMilliseconds(text: string): number | undefined {
  const duration = readDuration(text);
  return duration === undefined || duration === 0n ? undefined : Number((duration + 999_999n) / 1_000_000n);
}
