import { lazy, Suspense, useState } from "react";
import type { Process, Root } from "../../api/types.ts";
import { loadPart, t } from "../../i18n.ts";
import { OperatorButton } from "../../ui/OperatorButton.tsx";
import type { RootView } from "./view.ts";

/** Read when somebody is about to cancel something. */
const CancelDialog = lazy(async () => {
  const [dialog] = await Promise.all([import("./cancel/CancelDialog.tsx"), loadPart("cancel")]);
  return dialog;
});

/** Returns true while a tree has something that could be ended. */
export function canBeCancelled({ counts }: Root): boolean {
  return counts.running + counts.pending > 0;
}

/** Asks before a whole tree is cancelled. */
export function CancelRoot({ root, onClose }: { root: Root; onClose: () => void }) {
  return (
    <Suspense>
      <CancelDialog root={root.root_id} name={root.title} onClose={onClose} />
    </Suspense>
  );
}

/** The button that cancels a process and all below it, while any of these runs. */
export function CancelProcess({ view, slot, process }: { view: RootView; slot: number; process: Process }) {
  const [asking, setAsking] = useState(false);
  const rollup = view.rollup();
  const isOpen = (state: string) => state === "running" || state === "pending";
  const isCancellable = !process.fold && (isOpen(process.state) || rollup.below(slot, "running") + rollup.below(slot, "pending") > 0);
  return (
    <>
      {isCancellable && (
        <OperatorButton className="outlined danger" onClick={() => setAsking(true)}>
          {t("panel.cancel")}
        </OperatorButton>
      )}
      {asking && (
        <Suspense>
          <CancelDialog root={process.root_id} process={process.id} name={process.name === "" ? t("root.unnamed") : process.name} onClose={() => setAsking(false)} />
        </Suspense>
      )}
    </>
  );
}
