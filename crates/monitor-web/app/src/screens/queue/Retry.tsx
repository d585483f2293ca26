import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { retryTasks } from "../../api/queue.ts";
import type { Process, QueueRetried } from "../../api/types.ts";
import { t } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { Button } from "../../ui/Button.tsx";
import { Dialog } from "../../ui/Dialog.tsx";
import { problemText } from "../../ui/Problem.tsx";

const ENDED: readonly string[] = ["succeeded", "failed", "cancelled", "lost"];

/** Asks for confirmation before tasks are retried, and shows the result. */
export function RetryDialog({ chosen, onClose }: { chosen: readonly Process[]; onClose: (isDone: boolean) => void }) {
  // The tasks at the time of opening, because retried tasks change state while the result is shown.
  const [ended] = useState(() => chosen.filter(({ state, native_id }) => ENDED.includes(state) && native_id !== null));
  const succeeded = ended.filter(({ state }) => state === "succeeded").length;
  const retrying = useMutation({ mutationFn: () => retryTasks(ended.flatMap(({ native_id }) => native_id ?? [])) });
  const close = () => onClose(retrying.isSuccess);
  const title = t("queue.retry.ask", { count: ended.length });
  return (
    <Dialog label={title} className="ask" onClose={close}>
      <h2>{title}</h2>
      {retrying.data ? (
        <Answers retried={retrying.data} />
      ) : (
        <>
          {ended.length < chosen.length && <p>{t("queue.retry.open", { count: chosen.length - ended.length })}</p>}
          {succeeded > 0 && <p>{t("queue.retry.succeeded", { count: succeeded })}</p>}
          <p>{t("queue.retry.why")}</p>
        </>
      )}
      {retrying.error && (
        <p className="bad" role="alert">
          {problemText(retrying.error)}
        </p>
      )}
      <p className="buttons">
        {!retrying.data && ended.length > 0 && (
          <Button className="outlined" disabled={retrying.isPending} onClick={() => retrying.mutate()}>
            {t("queue.retry.do", { count: ended.length })}
          </Button>
        )}
        <Button className="outlined" autoFocus onClick={close}>
          {t(retrying.data ? "queue.revoke.close" : "queue.revoke.not")}
        </Button>
      </p>
    </Dialog>
  );
}

/** Number of retried tasks, and the reasons why others were not. */
function Answers({ retried: { tasks } }: { retried: QueueRetried }) {
  const again = tasks.filter(({ uuid }) => uuid != null);
  return (
    <div role="status">
      <p>{t("queue.retry.done", { count: again.length })}</p>
      <ul>
        {tasks
          .filter(({ uuid }) => uuid == null)
          .map(({ id, error }) => (
            <li key={id} translate="no">
              {visible(id)}: {visible(error ?? "")}
            </li>
          ))}
      </ul>
    </div>
  );
}
