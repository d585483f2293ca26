import type { Process } from "../api/types.ts";
import { t } from "../i18n.ts";
import { visible } from "../model/text.ts";

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

export function Marks({ process, orphan }: { process: Process; orphan: boolean }) {
  return (
    <>
      {marksOf(process, orphan).map(({ word, why }) => (
        <span key={word} className="mark" title={why}>
          {word}
        </span>
      ))}
      {process.attempt > 1 && <span className="mark">{t("mark.attempt", { attempt: process.attempt })}</span>}
    </>
  );
}
