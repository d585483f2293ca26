import { count, t } from "../../i18n.ts";
import { stepFailure } from "./keys.ts";
import type { Selection } from "./useSelection.ts";
import type { RootView } from "./view.ts";

export function TreeToolbar({ view, selection }: { view: RootView; selection: Selection }) {
  const total = Object.values(view.root?.counts ?? {}).reduce((sum, each) => sum + each, 0);
  const failed = (view.root?.counts.failed ?? 0) + (view.root?.counts.lost ?? 0);
  const loaded = view.tree.size;
  return (
    <div className="toolbar">
      <span className="dim">
        {view.loading && loaded < total
          ? t("root.shown", { shown: count(loaded), total: count(total) })
          : t("root.processes", { count: loaded })}
      </span>
      {failed > 0 && (
        <span className="group">
          <button type="button" title="E" onClick={() => stepFailure(view, selection, -1)}>
            {t("root.failure.previous")}
          </button>
          <button type="button" title="e" onClick={() => stepFailure(view, selection, 1)}>
            {t("root.failure.next")}
          </button>
        </span>
      )}
      <span className="keys dim">{t("root.keys")}</span>
      <span className="group">
        <button type="button" onClick={() => view.foldAll(Infinity)}>
          {t("root.expand")}
        </button>
        <button type="button" onClick={() => view.foldAll(1)}>
          {t("root.collapse")}
        </button>
      </span>
    </div>
  );
}
