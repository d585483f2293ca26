import { lazy, Suspense } from "react";
import type { Process } from "../../api/types.ts";
import { t } from "../../i18n.ts";
import { Attempts } from "./Attempts.tsx";
import { ErrorSection } from "./ErrorSection.tsx";
import { useKeys } from "./useKeys.ts";
import type { RootSearch } from "./useRootSearch.ts";
import type { Selection } from "./useSelection.ts";
import type { RootView } from "./view.ts";

const Logs = lazy(() => import("./logs/Logs.tsx"));

interface Props {
  view: RootView;
  process: Process;
  search: RootSearch;
  selection: Selection;
  /** True if the process has no log line. */
  isSilent: boolean;
  onSilent: (isSilent: boolean) => void;
}

/** A run with a single process: why it failed, and its log. The end of its output is shown on its own only if there is no log. */
export function OneProcess({ view, process, search, selection, isSilent, onSilent }: Props) {
  useKeys(({ key }) => {
    if (key !== "Escape" || selection.current() === null) return false;
    selection.clear();
    return true;
  });
  return (
    <div className="one">
      {process.error && <ErrorSection error={process.error} hasLog={!isSilent} />}
      <Attempts process={process} />
      <Suspense fallback={<p className="dim">{t("loading")}</p>}>
        <Logs view={view} search={search} onSilent={onSilent} />
      </Suspense>
    </div>
  );
}
