import { t } from "../i18n.ts";
import { Dialog } from "./Dialog.tsx";

/** Asks for confirmation before `count` runs are deleted. */
export function DeleteDialog({ count, onDelete, onClose }: { count: number; onDelete: () => void; onClose: () => void }) {
  return (
    <Dialog label={t("tasks.delete")} className="ask" onClose={onClose}>
      <h2>{t("tasks.delete.ask", { count })}</h2>
      <p>{t("tasks.delete.why")}</p>
      <p className="buttons">
        <button type="button" className="outlined danger" onClick={onDelete}>
          {t("tasks.delete")}
        </button>
        <button type="button" className="outlined" autoFocus onClick={onClose}>
          {t("tasks.delete.not")}
        </button>
      </p>
    </Dialog>
  );
}
