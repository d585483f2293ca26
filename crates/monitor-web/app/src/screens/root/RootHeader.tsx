import type { Root } from "../../api/types.ts";
import { useWorker } from "../../data/workers/useWorker.ts";
import { t } from "../../i18n.ts";
import { errorLine } from "../../model/errors.ts";
import { AttemptNow } from "../../ui/AttemptNow.tsx";
import { Button } from "../../ui/Button.tsx";
import { Exit } from "../../ui/Exit.tsx";
import { visible } from "../../model/text.ts";
import { clock } from "../../model/time.ts";
import { CopyButton } from "../../ui/CopyButton.tsx";
import { Counts } from "../../ui/Counts.tsx";
import { Expected } from "../../ui/Expected.tsx";
import { Overdue } from "../../ui/Marks.tsx";
import { StateLabel } from "../../ui/State.tsx";
import { RunTitle } from "../../ui/Text.tsx";
import { Took } from "../../ui/Took.tsx";
import { BackToRuns, Began, TABS, ToWorker } from "./around.tsx";
import { RootMenu } from "./RootMenu.tsx";
import type { RootSearch } from "./useRootSearch.ts";
import type { RootView } from "./view.ts";

interface Props {
  view: RootView;
  root: Root;
  search: RootSearch;
  /** Panel of a run's only process, whose reason is shown with its log. */
  details: { isOpen: boolean; toggle: () => void } | undefined;
}

/** Name and state of the root and, if it failed, the reason. */
export function RootHeader({ view, root, search, details }: Props) {
  const worker = useWorker(root.worker_id);
  const only = view.only();
  const { tab: chosen = "tree" } = search;
  // The log of a single process takes the place of the tree.
  const first = only ? "logs" : "tree";
  const tabs: typeof TABS = only ? [first, ...TABS.filter((tab) => tab !== "tree" && tab !== first)] : TABS;
  const current = only && chosen === "tree" ? first : chosen;
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
          <Overdue of={view.own() ?? root} />
          <Began timeUs={root.started_us} />
          {worker && <ToWorker id={worker.id}>{t("root.on", { host: visible(worker.hostname) })}</ToWorker>}
        </span>
        {!only && <Counts counts={root.counts} isHandled={root.state === "succeeded"} />}
        <RootMenu view={view} root={root} />
        <nav className="tabs" aria-label={t("root.tabs")}>
          {tabs.map((tab) => (
            <Button key={tab} aria-current={current === tab ? "page" : undefined} onClick={() => search.go({ tab: tab === first ? undefined : tab })}>
              {t(`root.tab.${tab}`)}
            </Button>
          ))}
        </nav>
        {details && (
          <Button className="toggle details" aria-pressed={details.isOpen} onClick={details.toggle}>
            {t("root.details")}
          </Button>
        )}
      </div>
      {root.error && !details && <p className="error">{visible(errorLine(root.error))}<Exit error={root.error} /></p>}
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
