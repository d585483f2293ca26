/** Parts of a run's page that refer to the rest of the page: links to other screens, and its own address. */
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { lastList } from "../../data/roots/list-search.ts";
import { t } from "../../i18n.ts";
import { Icon, ICONS } from "../../ui/Icon.tsx";
import { Ago } from "../../ui/Time.tsx";

export const TABS: readonly ("tree" | "timeline" | "logs" | "compare")[] = ["tree", "timeline", "logs", "compare"];

export function BackToRuns({ inWords = false }: { inWords?: boolean }) {
  const to = { to: "/tasks", search: lastList() };
  if (inWords) return <Link {...to} className="link" children={t("root.back")} />;
  return (
    <Link {...to} className="back dim" aria-label={t("root.back")} title={t("root.back")}>
      <Icon d={ICONS.back} />
    </Link>
  );
}

export function ToWorker({ id, children }: { id: string; children: ReactNode }) {
  return (
    <Link to="/tasks/workers/$id" params={{ id }} className="link">
      {children}
    </Link>
  );
}

/** Links to a run, or to a process in it. */
export function ToRun({ root, process, className = "link", children }: { root: string; process?: string; className?: string; children: ReactNode }) {
  return (
    <Link className={className} to="/tasks/$root" params={{ root }} search={process === undefined ? {} : { process }}>
      {children}
    </Link>
  );
}

/** Start time of a run. */
export function Began({ timeUs }: { timeUs: number | null }) {
  return <Ago timeUs={timeUs} />;
}

/** Returns the address at which a process can be opened by other users. */
export function addressOf({ root_id, id }: { root_id: string; id: string }): string | undefined {
  return `${location.origin}/tasks/${root_id}?process=${id}`;
}
