import type { BatchTask } from "../../api/types.ts";
import { locale, t } from "../../i18n.ts";
import { type Schedule, readSchedule } from "../../model/schedule.ts";
import { visible } from "../../model/text.ts";
import { step } from "../../model/time.ts";

/** Maximum number of rules that are shown in words. */
const MOST_RULES = 2;

/** Returns the rules of a task, unchanged. */
export function rulesOf({ definition }: BatchTask): string[] {
  const rules = definition["rules"];
  return Array.isArray(rules) ? rules.map(String) : [];
}

/** Returns when a task is due, in words, with the place of its time zone: `02:30 Mon–Fri, Berlin`. Empty without rules. */
export function scheduleWords(task: BatchTask): string {
  const all = rulesOf(task).map(readSchedule);
  const few = all.slice(0, MOST_RULES).map(words);
  const rest = all.length > MOST_RULES ? [t("batch.schedule.more", { count: all.length - MOST_RULES })] : [];
  const { zone } = task.definition;
  // Intervals are the same in every zone.
  const hasPlace = typeof zone === "string" && all.some(({ kind }) => kind !== "every" && kind !== "boot");
  return [...few, ...rest, ...(hasPlace ? [placeOf(zone)] : [])].join(", ");
}

/** Returns the place of a zone: `Berlin` of `Europe/Berlin`. */
export function placeOf(zone: string): string {
  return visible(zone.slice(zone.lastIndexOf("/") + 1).replaceAll("_", " "));
}

function words(schedule: Schedule): string {
  switch (schedule.kind) {
    case "every":
      return t("batch.schedule.every", { time: step(schedule.seconds * 1e9, locale) });
    case "hourly": {
      const minute = `:${String(schedule.minute).padStart(2, "0")}`;
      return schedule.hours === 1 ? t("batch.schedule.hourly", { minute }) : t("batch.schedule.hours", { hours: schedule.hours, minute });
    }
    case "daily": {
      const times = schedule.times.join(" ");
      return schedule.days.length === 0 ? t("batch.schedule.daily", { times }) : t("batch.schedule.days", { times, days: dayNames(schedule.days) });
    }
    case "monthly":
      return t("batch.schedule.monthly", { times: schedule.times.join(" "), day: schedule.day });
    case "once":
      return schedule.at;
    case "boot":
      return t("batch.schedule.boot");
    case "other":
      return visible(schedule.text);
  }
}

/** Returns `Mon–Fri` for a range of three or more days, otherwise a list. */
function dayNames(days: readonly number[]): string {
  const format = new Intl.DateTimeFormat(locale, { weekday: "short", timeZone: "UTC" });
  // 2026-11-29 was a Sunday.
  const name = (day: number | undefined) => format.format(Date.UTC(2026, 10, 29 + (day ?? 0)));
  const fromMonday = (day: number | undefined) => ((day ?? 0) + 6) % 7;
  const isRange = days.length > 2 && fromMonday(days.at(-1)) - fromMonday(days[0]) === days.length - 1;
  return isRange ? `${name(days[0])}–${name(days.at(-1))}` : days.map(name).join(" ");
}
