import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { rehearse } from "../../api/batch.ts";
import type { BatchRehearsal } from "../../api/types.ts";
import { count, locale, t, wordText } from "../../i18n.ts";
import { type Draft, readDraft } from "../../model/batch-draft.ts";
import { visible } from "../../model/text.ts";
import { absolute, duration } from "../../model/time.ts";

/** Pause in typing after which a request is sent. */
const TYPING_MS = 700;
/** Fewer real runs are not representative. */
const FEW = 10;
const DAY_US = 86_400_000_000;

/** The runs of the last month as this definition would have caused them, before it is saved. */
export function Rehearsal({ draft }: { draft: Draft }) {
  const text = draft.rules.trim() === "" ? "" : written(draft);
  const [wanted, setWanted] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setWanted(text), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text]);
  const query = useQuery({
    queryKey: ["batch-rehearsal", wanted],
    queryFn: ({ signal }) => rehearse(JSON.parse(wanted) as Record<string, unknown>, signal),
    enabled: wanted !== "",
    retry: false,
    staleTime: Infinity,
    refetchOnWindowFocus: false,
  });
  // Errors in the definition are shown when it is saved.
  if (wanted === "" || query.data === undefined) return null;
  return (
    <section aria-live="polite" data-stale={wanted !== text}>
      <h2>{t("batch.rehearsal")}</h2>
      <ul className="rehearsal">
        {lines(query.data).map((line) => (
          <li key={line}>{line}</li>
        ))}
      </ul>
    </section>
  );
}

/** Returns the definition as JSON; an empty text if it can't be parsed, or has no name yet. */
function written(draft: Draft): string {
  try {
    const name = draft.name.trim() === "" ? "task" : draft.name;
    return JSON.stringify(readDraft({ ...draft, name }));
  } catch {
    return "";
  }
}

function lines(found: BatchRehearsal): string[] {
  const days = Math.max(1, Math.round((found.to_us - found.from_us) / DAY_US));
  const said = [t("batch.rehearsal.result", { due: count(found.due), days, overlaps: found.overlaps, wait: found.longest_wait_ns === 0 ? t("batch.rehearsal.no-wait") : duration(found.longest_wait_ns, locale) })];
  for (const [reason, number] of Object.entries(found.skipped)) said.push(t("batch.rehearsal.skipped", { count: number, reason: wordText("batch.reason", reason) }));
  if (found.overtime > 0) said.push(t("batch.rehearsal.overtime", { count: found.overtime }));
  if (found.killed > 0) said.push(t("batch.rehearsal.killed", { count: found.killed }));
  for (const { minute, starts } of found.crowded.slice(0, 3)) said.push(t("batch.day.crowd", { count: starts, time: visible(minute) }));
  if (found.durations < FEW) said.push(found.durations === 0 ? t("batch.rehearsal.none") : t("batch.rehearsal.few", { count: found.durations }));
  // A truncated rehearsal ends before now.
  if (days < 29) said.push(t("batch.rehearsal.cut", { time: absolute(found.to_us).slice(0, 16) }));
  return said;
}
