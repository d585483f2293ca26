import { t } from "../../i18n.ts";
import { visible } from "../../model/text.ts";

/** Errors in the file of rules and channels. */
export function Mistakes({ of }: { of: readonly string[] }) {
  if (of.length === 0) return null;
  return (
    <div className="more bad" role="alert">
      <p>{t("alerts.mistakes")}</p>
      <pre className="mono">{of.map(visible).join("\n")}</pre>
    </div>
  );
}
