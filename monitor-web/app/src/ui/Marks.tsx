import type { Fold, Process } from "../api/types.ts";
import { count, t } from "../i18n.ts";
import { quantile } from "../model/fold.ts";
import { visible } from "../model/text.ts";
import { duration } from "../model/time.ts";

/** What is odd about a process, each with its explanation. */
export function marksOf(process: Process, orphan: boolean): { word: string; why: string }[] {
  const marks: { word: string; why: string }[] = [];
  if (process.attachment === "inferred") marks.push({ word: t("mark.inferred"), why: t("mark.inferred.why") });
  if (process.attachment === "unattached") marks.push({ word: t("mark.unattached"), why: t("mark.unattached.why") });
  if (orphan) {
    marks.push({ word: t("mark.orphan"), why: t("mark.orphan.why", { parent: visible(process.parent_id ?? "") }) });
  }
  return marks;
}

/** How many a fold stands for, and what became of them. */
function foldMark(fold: Fold): string {
  const p95 = quantile(fold, 0.95);
  const parts = [
    t("mark.fold", { count: count(fold.count) }),
    fold.running > 0 && t("mark.fold.running", { count: count(fold.running) }),
    fold.failed > 0 && t("mark.fold.failed", { count: count(fold.failed) }),
    fold.cancelled > 0 && t("mark.fold.cancelled", { count: count(fold.cancelled) }),
    p95 !== null && t("mark.fold.p95", { duration: duration(p95) }),
  ];
  return parts.filter((part) => part !== false).join(", ");
}

export function Marks({ process, orphan }: { process: Process; orphan: boolean }) {
  return (
    <>
      {marksOf(process, orphan).map(({ word, why }) => (
        <span key={word} className="mark" title={why}>
          {word}
        </span>
      ))}
      {process.fold && (
        <span className="mark" title={t("mark.fold.why")}>
          {foldMark(process.fold)}
        </span>
      )}
      {process.attempt > 1 && <span className="mark">{t("mark.attempt", { attempt: process.attempt })}</span>}
    </>
  );
}
