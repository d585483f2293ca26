/** Formats times and durations. Pure: the current time and the language are arguments. */

const THIN = "\u2009";
const MICROSECOND = 1e3;
const MILLISECOND = 1e6;
const SECOND = 1e9;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

type Unit = "nanosecond" | "microsecond" | "millisecond" | "second" | "minute" | "hour" | "day";

/**
 * Formats a duration as `840 ns`, `12.3 ms`, `41.2 s`, `12 m 40 s`, `3 h 05 m`, `2 d 03 h`: at most two units, the same in every language.
 * The language determines the grouping of digits.
 */
export function duration(nanoseconds: number, locale = "en"): string {
  const ns = Math.max(0, nanoseconds);
  if (ns < MICROSECOND) return unit(Math.round(ns), 0, "nanosecond", locale);
  if (ns < MILLISECOND) return scaled(ns / MICROSECOND, "microsecond", MILLISECOND, locale);
  if (ns < SECOND) return scaled(ns / MILLISECOND, "millisecond", SECOND, locale);
  if (ns < MINUTE - SECOND / 20) return unit(ns / SECOND, 1, "second", locale);
  if (ns < HOUR - SECOND / 2) return pair(Math.round(ns / SECOND), 60, "minute", "second", locale);
  if (ns < DAY - MINUTE / 2) return pair(Math.round(ns / MINUTE), 60, "hour", "minute", locale);
  return pair(Math.round(ns / HOUR), 24, "day", "hour", locale);
}

/** Formats a step such as `minute`, `15 minutes`, `hour`. */
export function step(nanoseconds: number, locale = "en"): string {
  const units = [["day", DAY], ["hour", HOUR], ["minute", MINUTE], ["second", SECOND]] as const;
  const whole = units.find(([, size]) => nanoseconds >= size && nanoseconds % size === 0);
  if (!whole) return duration(nanoseconds, locale);
  const format = new Intl.NumberFormat(locale, { style: "unit", unit: whole[0], unitDisplay: "long" });
  const value = nanoseconds / whole[1];
  return value === 1 ? (format.formatToParts(1).find(({ type }) => type === "unit")?.value ?? "") : format.format(value);
}

function scaled(value: number, name: Unit, next: number, locale: string): string {
  if (value < 99.95) return unit(value, 1, name, locale);
  return value < 999.5 ? unit(value, 0, name, locale) : duration(next, locale);
}

function pair(total: number, base: number, large: Unit, small: Unit, locale: string): string {
  return `${unit(Math.floor(total / base), 0, large, locale)} ${unit(total % base, 0, small, locale, 2)}`;
}

const unitFormats = new Map<string, [format: Intl.NumberFormat, name: string]>();

/** Formats `1.5 s`: the same in all languages except for the decimal separator. */
export function unit(value: number, digits: number, name: Unit, locale: string, integerDigits = 1): string {
  const key = `${locale} ${name} ${digits} ${integerDigits}`;
  let known = unitFormats.get(key);
  if (!known) {
    const parts = new Intl.NumberFormat("en", { style: "unit", unit: name, unitDisplay: "narrow" }).formatToParts(1);
    const format = new Intl.NumberFormat(locale, {
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
      minimumIntegerDigits: integerDigits,
    });
    known = [format, parts.find((part) => part.type === "unit")?.value ?? ""];
    unitFormats.set(key, known);
  }
  return `${known[0].format(value)}${THIN}${known[1]}`;
}

/** Splits a duration into its text and the last unit, so that columns can be aligned at the unit. */
export function splitUnit(text: string): [value: string, unit: string] {
  const at = text.lastIndexOf(THIN);
  return [text.slice(0, at), text.slice(at + 1)];
}

/** Returns the measured duration or, while it runs, the elapsed time; null if unknown. */
export function elapsed(
  process: { state: string; started_us: number | null; ended_us: number | null; elapsed_ns: number | null },
  nowUs: number,
): number | null {
  if (process.elapsed_ns !== null) return process.elapsed_ns;
  if (process.started_us === null) return null;
  if (process.ended_us !== null) return Math.max(0, process.ended_us - process.started_us) * MICROSECOND;
  return process.state === "running" || process.state === "retrying" ? Math.max(0, nowUs - process.started_us) * MICROSECOND : null;
}

/** Returns the minimum duration: for a lost process until its worker was last seen, for a waiting one since it was queued. */
export function elapsedAtLeast(
  process: Parameters<typeof elapsed>[0] & { begun_us?: number | null },
  worker: { last_seen_us: number } | undefined,
  nowUs: number,
): number | null {
  const took = elapsed(process, nowUs);
  if (took !== null) return took;
  if (process.state === "pending" && process.begun_us != null) return Math.max(0, nowUs - process.begun_us) * MICROSECOND;
  if (process.state !== "lost" || process.started_us === null || !worker || worker.last_seen_us === 0) return null;
  return Math.max(0, worker.last_seen_us - process.started_us) * MICROSECOND;
}

/** `12s ago`, in the given language. */
export function ago(timeUs: number, nowUs: number, locale: string): string {
  const format = relativeFormat(locale);
  const seconds = Math.round((timeUs - nowUs) / 1e6);
  const size = Math.abs(seconds);
  if (size < 60) return format.format(seconds, "second");
  if (size < 3600) return format.format(Math.trunc(seconds / 60), "minute");
  if (size < 86_400) return format.format(Math.trunc(seconds / 3600), "hour");
  return format.format(Math.trunc(seconds / 86_400), "day");
}

const relativeFormats = new Map<string, Intl.RelativeTimeFormat>();

function relativeFormat(locale: string): Intl.RelativeTimeFormat {
  let format = relativeFormats.get(locale);
  if (!format) {
    format = new Intl.RelativeTimeFormat(locale, { style: "narrow", numeric: "auto" });
    relativeFormats.set(locale, format);
  }
  return format;
}

/** `2026-11-20 14:02:11.123456`, in `zone` (the browser's own without one). */
export function absolute(timeUs: number, zone?: string): string {
  const parts = Object.fromEntries(
    dateFormat(zone)
      .formatToParts(Math.floor(timeUs / 1000))
      .map((part) => [part.type, part.value]),
  );
  const micros = String(((timeUs % 1e6) + 1e6) % 1e6).padStart(6, "0");
  return `${parts["year"]}-${parts["month"]}-${parts["day"]} ${parts["hour"]}:${parts["minute"]}:${parts["second"]}.${micros}`;
}

/** Formats `14:02:11` today, `2026-11-20 14:02` for earlier days, in the browser's time zone. */
export function clock(timeUs: number, nowUs = Date.now() * 1000): string {
  const text = absolute(timeUs);
  return text.slice(0, 10) === absolute(nowUs).slice(0, 10) ? text.slice(11, 19) : text.slice(0, 16);
}

const dateFormats = new Map<string | undefined, Intl.DateTimeFormat>();

function dateFormat(zone: string | undefined): Intl.DateTimeFormat {
  let format = dateFormats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat("en-CA", {
      ...(zone === undefined ? {} : { timeZone: zone }),
      hourCycle: "h23",
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
    });
    dateFormats.set(zone, format);
  }
  return format;
}

let zoneFormat: { format: Intl.DateTimeFormat; zone: string } | undefined;

/** Returns the browser's time zone at that time: `Europe/Berlin (GMT+1)`. */
export function zoneName(timeUs: number): string {
  if (!zoneFormat) {
    const format = new Intl.DateTimeFormat("en", { timeZoneName: "shortOffset" });
    zoneFormat = { format, zone: format.resolvedOptions().timeZone };
  }
  const { format, zone } = zoneFormat;
  const offset = format.formatToParts(timeUs / 1000).find((part) => part.type === "timeZoneName")?.value;
  return offset === undefined || zone === "UTC" ? zone : `${zone} (${offset})`;
}

/** Delays of the two readings after a time at which something changes: one for a server whose clock is right, and one for a server whose clock is slow. */
const DELAYS_MS = [500, 10_000];

/** Returns the time of the first reading after `doneMs`, in ms. */
export function nextReading(timesUs: readonly (number | null | undefined)[], doneMs: number): number | undefined {
  let next: number | undefined;
  for (const timeUs of timesUs) {
    if (typeof timeUs !== "number") continue;
    for (const delay of DELAYS_MS) {
      const at = timeUs / 1000 + delay;
      if (at > doneMs && at < (next ?? Infinity)) next = at;
    }
  }
  return next;
}
