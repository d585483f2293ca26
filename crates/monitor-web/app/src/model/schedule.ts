/** Parses the common forms of rules of time, so that they can be shown in words. */

export type Schedule =
  | { kind: "every"; seconds: number }
  | { kind: "hourly"; minute: number; hours: number }
  /** `days` are days of the week from 0 (Sunday), in ascending order from Monday; empty for all. */
  | { kind: "daily"; times: string[]; days: number[] }
  | { kind: "monthly"; times: string[]; day: number }
  | { kind: "once"; at: string }
  | { kind: "boot" }
  /** A rule that only its own text describes. */
  | { kind: "other"; text: string };

const NAMED: Readonly<Record<string, string>> = {
  "@minutely": "* * * * *",
  "@hourly": "0 * * * *",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@weekly": "0 0 * * 0",
  "@monthly": "0 0 1 * *",
};
const DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };
/** Maximum number of times on a day that are listed. */
const MOST_TIMES = 3;

export function readSchedule(rule: string): Schedule {
  const text = rule.trim();
  const other: Schedule = { kind: "other", text };
  if (text === "@boot" || text === "@reboot") return { kind: "boot" };
  const [, every] = /^@every\s+(.+)$/.exec(text) ?? [];
  if (every !== undefined) {
    const seconds = secondsOf(every);
    return seconds === undefined ? other : { kind: "every", seconds };
  }
  const [, date, time, zone = ""] = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(?::00)?(Z|[+-]\d\d:\d\d)?$/.exec(text) ?? [];
  if (date !== undefined) return { kind: "once", at: `${date} ${time}${zone === "Z" ? " UTC" : zone}` };
  return ofFields((NAMED[text.toLowerCase()] ?? text).toUpperCase().split(/\s+/)) ?? other;
}

/** Reads five fields, or six with the second first. */
function ofFields(fields: string[]): Schedule | undefined {
  if (fields.length === 6) {
    const [second = "", ...rest] = fields;
    const step = stepOf(second, 60);
    if (step !== undefined && rest.every(isAny)) return { kind: "every", seconds: step };
    return second === "0" ? ofFields(rest) : undefined;
  }
  const [minute = "", hour = "", day = "", month = "", weekday = ""] = fields;
  if (fields.length !== 5 || !isAny(month)) return undefined;
  const isEachDay = isAny(day) && isAny(weekday);
  const minutes = stepOf(minute, 60);
  if (minutes !== undefined && isAny(hour) && isEachDay) return { kind: "every", seconds: minutes * 60 };
  const at = number(minute, 59);
  if (at === undefined) return undefined;
  const hours = stepOf(hour, 24);
  if (hours !== undefined && isEachDay) return { kind: "hourly", minute: at, hours };
  const all = hour.split(",").map((each) => number(each, 23));
  if (all.length > MOST_TIMES || all.includes(undefined)) return undefined;
  const times = all.map((each) => `${String(each).padStart(2, "0")}:${minute.padStart(2, "0")}`);
  if (isAny(day)) {
    const days = isAny(weekday) ? [] : weekdays(weekday);
    return days === undefined ? undefined : { kind: "daily", times, days };
  }
  const ofMonth = number(day, 31);
  return isAny(weekday) && ofMonth !== undefined && ofMonth > 0 ? { kind: "monthly", times, day: ofMonth } : undefined;
}

const isAny = (field: string) => field === "*" || field === "?";

function number(field: string, most: number): number | undefined {
  return /^\d{1,2}$/.test(field) && Number(field) <= most ? Number(field) : undefined;
}

/** Returns the interval of a field that repeats evenly within `of`. */
function stepOf(field: string, of: number): number | undefined {
  if (isAny(field)) return 1;
  const step = Number(/^(?:\*|0)\/(\d{1,2})$/.exec(field)?.[1]);
  return step > 0 && of % step === 0 ? step : undefined;
}

/** Returns the days of a list of days and ranges, from Monday. */
function weekdays(field: string): number[] | undefined {
  const found = new Set<number>();
  for (const part of field.split(",")) {
    const [from, to] = part.split("-").map((name) => (DAYS.includes(name) ? DAYS.indexOf(name) : number(name, 7)));
    if (from === undefined || (part.includes("-") && to === undefined) || part.split("-").length > 2) return undefined;
    for (let day = from; day <= (to ?? from); day += 1) found.add(day % 7);
  }
  const fromMonday = (day: number) => (day + 6) % 7;
  return [...found].sort((a, b) => fromMonday(a) - fromMonday(b));
}

/** Returns the number of seconds of a duration such as `90s` or `1h30m`. */
function secondsOf(text: string): number | undefined {
  const parts = [...text.matchAll(/(\d+)\s*([smhd])/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join("") !== text.replace(/(?<=[smhd])\s+/g, "")) return undefined;
  return parts.reduce((sum, [, value, unit = ""]) => sum + Number(value) * (UNITS[unit] ?? 0), 0);
}
