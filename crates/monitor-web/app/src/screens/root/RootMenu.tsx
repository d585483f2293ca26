import { useState } from "react";
import { deleteRoot, exportAddress, exportName, EXPORTS, fetchLogs, pinRoot } from "../../api/client.ts";
import type { LogLine, LogsPage, Root } from "../../api/types.ts";
import { count, locale, t } from "../../i18n.ts";
import { MOST_LINES, type Snapshot, snapshot } from "../../model/snapshot.ts";
import { absolute, duration, zoneName } from "../../model/time.ts";
import { announce } from "../../ui/announce.ts";
import { Button } from "../../ui/Button.tsx";
import { copyText } from "../../ui/copy.ts";
import { DeleteDialog } from "../../ui/DeleteDialog.tsx";
import { Menu } from "../../ui/Menu.tsx";
import { OperatorButton, WhyRefused } from "../../ui/OperatorButton.tsx";
import { problemText } from "../../ui/Problem.tsx";
import { save } from "../../ui/save.ts";
import { stateWord } from "../../ui/State.tsx";
import { canBeCancelled, CancelRoot } from "./Cancel.tsx";
import type { RootView } from "./view.ts";

/** Actions for a root: cancel it while it runs, export, pin or delete it. */
export function RootMenu({ view, root }: { view: RootView; root: Root }) {
  const [problem, setProblem] = useState<string | null>(null);
  const [asking, setAsking] = useState(false);
  const [cancelling, setCancelling] = useState(false);
  const attempt = (act: () => Promise<void>) => {
    setProblem(null);
    act().catch((error: unknown) => setProblem(problemText(error)));
  };
  return (
    <>
      <Menu label={t("root.more")}>
        <Button data-choice onClick={() => attempt(() => copyText(location.href).then(() => announce("deed", t("copied"))))}>
          {t("root.copy-link")}
        </Button>
        <Button data-choice disabled={view.loading} title={t("root.snapshot.why")} onClick={() => attempt(() => saveSnapshot(view, root))}>
          {t("root.snapshot")}
        </Button>
        {EXPORTS.map((format) => (
          <a key={format} className="choice" data-choice href={exportAddress(root.root_id, format)} download={exportName(root.number, format)}>
            {t("root.export", { format: t(`tasks.export.${format}`) })}
          </a>
        ))}
        <OperatorButton data-choice onClick={() => attempt(() => pinRoot(root.root_id, root.pinned !== true))}>
          {t(root.pinned === true ? "tasks.unpin" : "tasks.pin")}
        </OperatorButton>
        {canBeCancelled(root) && (
          <OperatorButton data-choice onClick={() => setCancelling(true)}>
            {t("root.cancel")}
          </OperatorButton>
        )}
        <OperatorButton data-choice onClick={() => setAsking(true)}>
          {t("tasks.delete")}
        </OperatorButton>
        <WhyRefused />
      </Menu>
      {cancelling && <CancelRoot root={root} onClose={() => setCancelling(false)} />}
      {asking && (
        <DeleteDialog
          count={1}
          onDelete={() => {
            setAsking(false);
            attempt(() => deleteRoot(root.root_id));
          }}
          onClose={() => setAsking(false)}
        />
      )}
      {problem !== null && (
        <span className="problem" role="alert">
          {problem}
        </span>
      )}
    </>
  );
}

const PAGE = 10_000;

/** Reads the newest lines, sorted by time. */
async function readLogs(rootId: string): Promise<Snapshot["logs"]> {
  const newestFirst: LogLine[] = [];
  const { signal } = new AbortController();
  let missing = 0;
  let cursor: string | null = "";
  while (cursor !== null && newestFirst.length < MOST_LINES) {
    const page: LogsPage = await fetchLogs(rootId, undefined, { limit: PAGE, order: "newest", ...(cursor && { cursor }) }, signal);
    newestFirst.push(...page.logs);
    missing = page.missing;
    cursor = page.next_cursor ?? null;
  }
  return { lines: newestFirst.reverse(), isCut: cursor !== null, missing };
}

async function saveSnapshot(view: RootView, root: Root): Promise<void> {
  const logs = await readLogs(root.root_id);
  const text = snapshot(
    { tree: view.tree, root, logs, nowUs: Date.now() * 1000 },
    {
      language: document.documentElement.lang,
      state: stateWord,
      duration: (nanoseconds) => duration(nanoseconds, locale),
      time: (timeUs) => `${absolute(timeUs)} ${zoneName(timeUs)}`,
      count,
      tree: t("root.tab.tree"),
      timeline: t("root.tab.timeline"),
      logs: t("logs.title"),
      error: t("root.snapshot.error"),
      unnamed: t("root.unnamed"),
      taken: t("root.snapshot.taken", { server: location.host }),
      left: (rows) => t("root.snapshot.left", { count: rows }),
      leftBars: (bars) => t("root.snapshot.left.bars", { count: bars }),
      causedBy: t("panel.caused-by"),
      leftLines: t("root.snapshot.left.lines", { count: count(MOST_LINES) }),
      missingLines: (lines) => t("logs.missing", { count: count(lines) }),
    },
  );
  save(new Blob([text], { type: "text/html" }), `${root.number}.html`);
}
