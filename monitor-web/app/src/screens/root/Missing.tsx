import { count, hasText, t } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import type { RootView } from "./view.ts";

/** What the tree can't show, so that nobody takes it for the whole. */
export function Missing({ view }: { view: RootView }) {
  const { dropped, ignored_parents } = view.missing;
  if (dropped.length === 0 && ignored_parents === 0) return null;
  return (
    <ul className="missing">
      {dropped.map((lost) => {
        const type = known(`missing.type.${lost.type}`, lost.type);
        const reason = known(`missing.reason.${lost.reason}`, lost.reason);
        return <li key={`${type} ${reason}`}>{t("missing.dropped", { count: count(lost.count), type, reason })}</li>;
      })}
      {ignored_parents > 0 && <li>{t("missing.parents", { count: ignored_parents })}</li>}
    </ul>
  );
}

/** The text for a word that the server may know and this page not. */
function known(id: string, word: string): string {
  return hasText(id) ? t(id) : visible(word);
}
