import { useState } from "react";
import { deleteRoot, EXPORTS, exportRoot, pinRoot } from "../../api/client.ts";
import { useMayOperate } from "../../data/useMe.ts";
import { count, t } from "../../i18n.ts";
import { Dialog } from "../../ui/Dialog.tsx";
import { Menu } from "../../ui/Menu.tsx";
import { problemText } from "../../ui/Problem.tsx";
import { save } from "../../ui/save.ts";
import type { Checked } from "./useChecked.ts";

/** What can be done with all chosen roots at once. */
export function CheckedBar({ checked }: { checked: Checked }) {
  const [asking, setAsking] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const may = useMayOperate();
  const ids = [...checked.ids];
  const refused = may === false ? { "aria-disabled": true, title: t("tasks.refused") } : {};
  const unless = (act: () => void) => () => may !== false && act();

  /** One after another: the first that is refused says why, those before it are done. */
  const each = async (act: (id: string) => Promise<void>) => {
    setBusy(true);
    setProblem(null);
    const done: string[] = [];
    try {
      for (const id of ids) {
        await act(id);
        done.push(id);
      }
      checked.clear();
    } catch (error) {
      setProblem(t("tasks.checked.stopped", { done: count(done.length), total: count(ids.length), why: problemText(error) }));
      for (const id of done) checked.set(id, false);
    }
    setBusy(false);
  };
  const pin = (pinned: boolean) => each((id) => pinRoot(id, pinned));
  const remove = () => {
    setAsking(false);
    return each(deleteRoot);
  };
  const take = (format: (typeof EXPORTS)[number]) => each(async (id) => save(await exportRoot(id, format), `${id}.${format === "ndjson" ? "ndjson" : `${format}.json`}`));

  return (
    <div className="checked-bar" role="toolbar" aria-label={t("tasks.checked", { count: ids.length })}>
      <strong role="status">{t("tasks.checked", { count: ids.length })}</strong>
      <button type="button" className="outlined" {...refused} disabled={busy} onClick={unless(() => void pin(true))}>
        {t("tasks.pin")}
      </button>
      <button type="button" className="outlined" {...refused} disabled={busy} onClick={unless(() => void pin(false))}>
        {t("tasks.unpin")}
      </button>
      <Menu label={t("tasks.export")}>
        {EXPORTS.map((format) => (
          <button key={format} type="button" data-choice onClick={() => void take(format)}>
            {t(`tasks.export.${format}`)}
          </button>
        ))}
      </Menu>
      <button type="button" className="outlined danger" {...refused} disabled={busy} onClick={unless(() => setAsking(true))}>
        {t("tasks.delete")}
      </button>
      {may === false && (
        <span className="refused dim">
          {t("tasks.refused")}{" "}
          <a className="link" href={`/login?next=${encodeURIComponent(location.pathname + location.search)}`}>
            {t("tasks.log-in")}
          </a>
        </span>
      )}
      <button type="button" disabled={busy} onClick={checked.clear}>
        {t("tasks.checked.clear")}
      </button>
      {problem && (
        <span className="problem" role="alert">
          {problem}
        </span>
      )}
      {asking && (
        <Dialog label={t("tasks.delete")} className="ask" onClose={() => setAsking(false)}>
          <h2>{t("tasks.delete.ask", { count: ids.length })}</h2>
          <p>{t("tasks.delete.why")}</p>
          <p className="buttons">
            <button type="button" className="outlined danger" onClick={() => void remove()}>
              {t("tasks.delete")}
            </button>
            <button type="button" className="outlined" autoFocus onClick={() => setAsking(false)}>
              {t("tasks.delete.not")}
            </button>
          </p>
        </Dialog>
      )}
    </div>
  );
}
