import { count, t, wordText } from "../../i18n.ts";
import type { RootView } from "./view.ts";

/** What the tree can't show, so that nobody takes it for the whole. */
export function Missing({ view }: { view: RootView }) {
  const { dropped, ignored_parents } = view.missing;
  if (dropped.length === 0 && ignored_parents === 0) return null;
  return (
    <ul className="missing">
      {dropped.map((lost) => {
        const type = wordText("missing.type", lost.type);
        const reason = wordText("missing.reason", lost.reason);
        return <li key={`${type} ${reason}`}>{t("missing.dropped", { count: count(lost.count), type, reason })}</li>;
      })}
      {ignored_parents > 0 && <li>{t("missing.parents", { count: ignored_parents })}</li>}
    </ul>
  );
}
