import type { Process } from "../api/types.ts";
import { t } from "../i18n.ts";
import { AttemptNow } from "./AttemptNow.tsx";
import { visible } from "../model/text.ts";
import { Icon, ICONS } from "./Icon.tsx";

interface Oddity {
  word: string;
  why: string;
}

/** Contradictions and other notable properties of a process, each with an explanation. */
export function marksOf(process: Process, orphan: boolean): Oddity[] {
  const marks: Oddity[] = [];
  if (process.attachment === "inferred") marks.push({ word: t("mark.inferred"), why: t("mark.inferred.why") });
  if (process.attachment === "unattached") marks.push({ word: t("mark.unattached"), why: t("mark.unattached.why") });
  if (orphan) {
    marks.push({ word: t("mark.orphan"), why: t("mark.orphan.why", { parent: visible(process.parent_id ?? "") }) });
  }
  const contradictions = process.contradictions ?? 0;
  if (contradictions > 0) marks.push({ word: t("mark.contradiction"), why: t("odd.contradictions", { count: contradictions }) });
  return marks;
}

export function Marks({ process, orphan }: { process: Process; orphan: boolean }) {
  return (
    <>
      <Overdue of={process} />
      {marksOf(process, orphan).map(({ word, why }) => (
        <span key={word} className="mark" title={why}>
          {word}
        </span>
      ))}
      <AttemptNow of={process} />
    </>
  );
}

/** Mark of a process that the server has found to be overdue. */
export function Overdue({ of }: { of: { overdue?: boolean; state: string } }) {
  if (of.overdue !== true || of.state !== "running") return null;
  return (
    <span className="mark overdue" title={t("mark.overdue.why")}>
      <Icon d={ICONS.warning} /> {t("mark.overdue")}
    </span>
  );
}
