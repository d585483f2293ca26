/** Replaces `screens/root/around.tsx`: a file contains runs, and no other screens. */
import { Link } from "@tanstack/react-router";
import type { ComponentProps } from "react";
import type * as page from "../../screens/root/around.tsx";
import { At } from "../../ui/Time.tsx";
import { file } from "../file.ts";

export const TABS: typeof page.TABS = file.runs.length > 1 ? ["tree", "timeline", "logs", "compare"] : ["tree", "timeline", "logs"];

export function BackToRuns(): null {
  return null;
}

export function ToWorker({ children }: ComponentProps<typeof page.ToWorker>) {
  return children;
}

export function ToRun({ root, process, className = "link", children }: ComponentProps<typeof page.ToRun>) {
  if (!file.runs.some(({ root_id }) => root_id === root)) return <span className={className.replace("link", "")}>{children}</span>;
  return (
    <Link className={className} to="/tasks/$root" params={{ root }} search={process === undefined ? {} : { process }}>
      {children}
    </Link>
  );
}

/** Shows the absolute time, because "two days ago" would only be correct on the day of writing. */
export function Began({ timeUs }: ComponentProps<typeof page.Began>) {
  return timeUs === null ? null : <At timeUs={timeUs} />;
}

export function addressOf(): undefined {
  return undefined;
}
