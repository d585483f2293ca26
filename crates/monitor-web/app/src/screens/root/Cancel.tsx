import { lazy, Suspense, useState } from "react";
import type { Process, Root } from "../../api/types.ts";
import { loadPart, t } from "../../i18n.ts";
import { OperatorButton } from "../../ui/OperatorButton.tsx";
import type { RootView } from "./view.ts";

/** Loaded when the reader opens the dialog. */
const CancelDialog = lazy(async () => {
  const [dialog] = await Promise.all([import("./cancel/CancelDialog.tsx"), loadPart("cancel")]);
  return dialog;
});

/** Returns true while a tree has open processes. */
export function canBeCancelled({ counts }: Root): boolean {
  return counts.running + counts.pending > 0;
}

/** Asks for confirmation before a whole tree is cancelled. */
export function CancelRoot({ root, onClose }: { root: Root; onClose: () => void }) {
  return (
    <Suspense>
      <CancelDialog root={root.root_id} name={root.title} onClose={onClose} />
    </Suspense>
  );
}

/** The button that cancels a process with its descendants, while any of them is open. */
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
