import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { revokeTasks } from "../../api/queue.ts";
import type { Command, Process } from "../../api/types.ts";
import { t } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { Button } from "../../ui/Button.tsx";
import { Dialog } from "../../ui/Dialog.tsx";
import { Input } from "../../ui/Input.tsx";
import { problemText } from "../../ui/Problem.tsx";

const isOpen = ({ state, native_id }: Process) => (state === "pending" || state === "running") && native_id !== null;

/** Asks for confirmation before tasks are revoked, and shows the workers' answers. */
export function RevokeDialog({ chosen, onClose }: { chosen: readonly Process[]; onClose: (isDone: boolean) => void }) {
  const [terminate, setTerminate] = useState(false);
  // The tasks at the time of opening, because revoked tasks end while the result is shown.
  const [open] = useState(() => chosen.filter(isOpen));
  const running = open.filter(({ state }) => state === "running").length;
  const revoking = useMutation({ mutationFn: () => revokeTasks(open.flatMap(({ native_id }) => native_id ?? []), terminate) });
  const close = () => onClose(revoking.isSuccess);
  const title = t("queue.revoke.ask", { count: open.length });
  return (
    <Dialog label={title} className="ask" onClose={close}>
      <h2>{title}</h2>
      {revoking.data ? (
        <Answers command={revoking.data} />
      ) : (
        <>
          {open.length < chosen.length && <p>{t("queue.revoke.ended", { count: chosen.length - open.length })}</p>}
          <p>{t("queue.revoke.why")}</p>
          {running > 0 && (
            <label className="flag">
              <Input type="checkbox" checked={terminate} onChange={(event) => setTerminate(event.target.checked)} /> {t("queue.revoke.terminate", { count: running })}
            </label>
          )}
        </>
      )}
      {revoking.error && (
        <p className="bad" role="alert">
          {problemText(revoking.error)}
        </p>
      )}
      <p className="buttons">
        {!revoking.data && open.length > 0 && (
          <Button className="outlined danger" disabled={revoking.isPending} onClick={() => revoking.mutate()}>
            {t("queue.revoke.do", { count: open.length })}
          </Button>
        )}
        <Button className="outlined" autoFocus onClick={close}>
          {t(revoking.data ? "queue.revoke.close" : "queue.revoke.not")}
        </Button>
      </p>
    </Dialog>
  );
}

/** Number of workers that have revoked the tasks, and the errors of others. Workers that don't use queues are omitted. */
function Answers({ command: { lines = [] } }: { command: Command }) {
  const meant = lines.filter(({ status }) => status !== "unsupported");
  const done = meant.filter(({ status }) => status === "ok");
  return (
    <div role="status">
      <p>{t("queue.revoke.done", { count: done.length })}</p>
      <ul>
        {meant
          .filter(({ status }) => status !== "ok")
          .map(({ name, status, error }) => (
            <li key={name} translate="no">
              {visible(name)}: {visible(error ?? status)}
            </li>
          ))}
      </ul>
    </div>
  );
}
