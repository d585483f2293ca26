import { knownWorker } from "../../data/workers/live.ts";
import { locale, lostText, t, wordText } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { duration } from "../../model/time.ts";
import type { RootView } from "./view.ts";

/** Data that is missing in the tree, so that readers know it is incomplete. */
export function Missing({ view }: { view: RootView }) {
  const { dropped, ignored_parents, deep_parents } = view.missing;
  // While the tree is being read, the result would change constantly.
  const clocks = view.loading ? new Map<string, number>() : view.clocks();
  if (dropped.length === 0 && ignored_parents === 0 && deep_parents === 0 && clocks.size === 0) return null;
  return (
    <ul className="missing">
      {dropped.map((lost) => {
        const reason = wordText("missing.reason", lost.reason);
        return <li key={`${lost.type} ${lost.reason}`}>{t("missing.dropped", { what: lostText(lost.type, lost.count), reason })}</li>;
      })}
      {ignored_parents > 0 && <li>{t("missing.parents", { count: ignored_parents })}</li>}
      {deep_parents > 0 && <li>{t("missing.deep", { count: deep_parents })}</li>}
      {[...clocks].map(([id, us]) => (
        <li key={id}>{t("clock.off", { worker: visible(knownWorker(id)?.hostname ?? id), by: `${us > 0 ? "−" : "+"}${duration(Math.abs(us) * 1000, locale)}` })}</li>
      ))}
    </ul>
  );
}
