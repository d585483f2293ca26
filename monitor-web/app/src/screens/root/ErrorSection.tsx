import type { Failure } from "../../api/types.ts";
import { t, wordText } from "../../i18n.ts";
import { causeFirst } from "../../model/errors.ts";
import { visible, visibleLines } from "../../model/text.ts";
import { Source } from "./Source.tsx";

/** What failed and where: the cause first, then what it led to. */
export function ErrorSection({ error }: { error: Failure }) {
  const [cause = "", ...led] = causeFirst(error);
  return (
    <section className="failure">
      <h3>
        {t("panel.error")} <span className="dim">{[wordText("error", error.kind), visible(error.type ?? "")].filter(Boolean).join(" · ")}</span>
      </h3>
      <p className="message">{visibleLines(cause)}</p>
      {led.length > 0 && (
        <ol className="chain" aria-label={t("panel.led-to")}>
          {led.map((each, index) => (
            <li key={index}>{visibleLines(each)}</li>
          ))}
        </ol>
      )}
      {error.source && <Source source={error.source} />}
    </section>
  );
}
