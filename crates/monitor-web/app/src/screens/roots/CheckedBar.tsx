import { useState } from "react";
import { deleteRoot, exportName, EXPORTS, exportRoot, pinRoot } from "../../api/client.ts";
import { count, t } from "../../i18n.ts";
import { Button } from "../../ui/Button.tsx";
import { DeleteDialog } from "../../ui/DeleteDialog.tsx";
import { Menu } from "../../ui/Menu.tsx";
import { OperatorButton, WhyRefused } from "../../ui/OperatorButton.tsx";
import { problemText } from "../../ui/Problem.tsx";
import { save } from "../../ui/save.ts";
import type { Checked } from "./useChecked.ts";

/** Actions for all selected roots. */
export function CheckedBar({ checked }: { checked: Checked }) {
  const [asking, setAsking] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const ids = [...checked.ids];

  /** Processes roots one after another. The first error is shown; earlier roots are done. */
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
  const take = (format: (typeof EXPORTS)[number]) => each(async (id) => save(await exportRoot(id, format), exportName(id, format)));

  return (
    <div className="checked-bar" role="toolbar" aria-label={t("tasks.checked", { count: ids.length })}>
      <strong role="status">{t("tasks.checked", { count: ids.length })}</strong>
      <OperatorButton className="outlined" disabled={busy} onClick={() => void pin(true)}>
        {t("tasks.pin")}
      </OperatorButton>
      <OperatorButton className="outlined" disabled={busy} onClick={() => void pin(false)}>
        {t("tasks.unpin")}
      </OperatorButton>
      <Menu label={t("tasks.export")}>
        {EXPORTS.map((format) => (
          <Button key={format} data-choice onClick={() => void take(format)}>
            {t(`tasks.export.${format}`)}
          </Button>
        ))}
      </Menu>
      <OperatorButton className="outlined danger" disabled={busy} onClick={() => setAsking(true)}>
        {t("tasks.delete")}
      </OperatorButton>
      <WhyRefused />
      <Button disabled={busy} onClick={checked.clear}>
        {t("tasks.checked.clear")}
      </Button>
      {problem && (
        <span className="problem" role="alert">
          {problem}
        </span>
      )}
      {asking && <DeleteDialog count={ids.length} onDelete={() => void remove()} onClose={() => setAsking(false)} />}
    </div>
  );
}
