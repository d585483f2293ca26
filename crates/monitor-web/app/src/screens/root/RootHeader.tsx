import type { Root } from "../../api/types.ts";
import { useWorker } from "../../data/workers/useWorker.ts";
import { t } from "../../i18n.ts";
import { errorLine } from "../../model/errors.ts";
import { AttemptNow } from "../../ui/AttemptNow.tsx";
import { Exit } from "../../ui/Exit.tsx";
import { visible } from "../../model/text.ts";
import { clock } from "../../model/time.ts";
import { CopyButton } from "../../ui/CopyButton.tsx";
import { Counts } from "../../ui/Counts.tsx";
import { Expected } from "../../ui/Expected.tsx";
import { StateLabel } from "../../ui/State.tsx";
import { RunTitle } from "../../ui/Text.tsx";
import { Took } from "../../ui/Took.tsx";
import { BackToRuns, Began, TABS, ToWorker } from "./around.tsx";
import { RootMenu } from "./RootMenu.tsx";
import type { RootSearch } from "./useRootSearch.ts";
import type { RootView } from "./view.ts";

/** Name and state of the root and, if it failed, the reason. */
export function RootHeader({ view, root, search }: { view: RootView; root: Root; search: RootSearch }) {
  const worker = useWorker(root.worker_id);
  return (
    <div className="root-header" data-state={root.state}>
      <div className="line">
        <BackToRuns />
        <StateLabel state={root.state} />
        <h1>
          <RunTitle run={root} />
        </h1>
        <CopyButton text={root.title} what={t("copy.name")} />
        <span className="facts dim">
          <Took root={root} />
          <AttemptNow of={root} />
          <Expected process={view.own() ?? root} />
          <Began timeUs={root.started_us} />
          {worker && <ToWorker id={worker.id}>{t("root.on", { host: visible(worker.hostname) })}</ToWorker>}
        </span>
        <Counts counts={root.counts} />
        <RootMenu view={view} root={root} />
        <nav className="tabs" aria-label={t("root.tabs")}>
          {TABS.map((tab) => (
            <button key={tab} type="button" aria-current={(search.tab ?? "tree") === tab ? "page" : undefined} onClick={() => search.go({ tab: tab === "tree" ? undefined : tab })}>
              {t(`root.tab.${tab}`)}
            </button>
          ))}
        </nav>
      </div>
      {root.error && <p className="error">{visible(errorLine(root.error))}<Exit error={root.error} /></p>}
      {root.state === "lost" && root.ended_us == null && worker && worker.last_seen_us > 0 && (
        <p className="error">
          {t("tasks.lost-since", {
            worker: visible(worker.hostname),
            time: clock(worker.last_seen_us),
          })}
        </p>
      )}
    </div>
  );
}
