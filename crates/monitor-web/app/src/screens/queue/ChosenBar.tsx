import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { isOffered } from "../../api/commands.ts";
import type { Process } from "../../api/types.ts";
import { useAgain } from "../../data/useAgain.ts";
import { t } from "../../i18n.ts";
import { Button } from "../../ui/Button.tsx";
import { OperatorButton, WhyRefused } from "../../ui/OperatorButton.tsx";
import { RetryDialog } from "./Retry.tsx";
import { RevokeDialog } from "./Revoke.tsx";

const AGAIN_MS = 10_000;

/** Actions for all selected tasks. Retrying is only offered if a worker supports it. */
export function ChosenBar({ chosen, onClear }: { chosen: readonly Process[]; onClear: () => void }) {
  const [asking, setAsking] = useState<"revoke" | "retry">();
  const retries = useQuery({ queryKey: ["offered", "retry"], queryFn: ({ signal }) => isOffered("retry", signal), staleTime: 0 });
  useAgain(["worker"], retries, AGAIN_MS);
  const close = (isDone: boolean) => {
    setAsking(undefined);
    if (isDone) onClear();
  };
  return (
    <span className="chosen-bar" role="toolbar" aria-label={t("tasks.checked", { count: chosen.length })}>
      <strong role="status">{t("tasks.checked", { count: chosen.length })}</strong>
      <OperatorButton className="outlined danger" onClick={() => setAsking("revoke")}>
        {t("queue.revoke")}
      </OperatorButton>
      {retries.data === true && (
        <OperatorButton className="outlined" onClick={() => setAsking("retry")}>
          {t("queue.retry")}
        </OperatorButton>
      )}
      <Button onClick={onClear}>
        {t("tasks.checked.clear")}
      </Button>
      <WhyRefused />
      {asking === "revoke" && <RevokeDialog chosen={chosen} onClose={close} />}
      {asking === "retry" && <RetryDialog chosen={chosen} onClose={close} />}
    </span>
  );
}
