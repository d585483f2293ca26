import type { Failure } from "../../api/types.ts";
import { t, wordText } from "../../i18n.ts";
import { causeFirst, causesCut, tailOf } from "../../model/errors.ts";
import { visible, visibleLines } from "../../model/text.ts";
import { Exit } from "../../ui/Exit.tsx";
import { Said } from "../../ui/Text.tsx";
import { Source } from "./Source.tsx";

/** The error and its location: the root cause first, then its consequences. */
export function ErrorSection({ error }: { error: Failure }) {
  const [cause = "", ...led] = causeFirst(error);
  const left = causesCut(error);
  const tail = tailOf(error);
  return (
    <section className="failure">
      <h3>
        {t("panel.error")} <span className="dim">{[wordText("error", error.kind), visible(error.type ?? "")].filter(Boolean).join(" · ")}</span>
      </h3>
      <p className="message">
        <Said text={cause} lines />
        <Exit error={error} />
      </p>
      {left > 0 && <p className="dim">{t("cut.causes", { count: left })}</p>}
      {led.length > 0 && (
        <ol className="chain" aria-label={t("panel.led-to")}>
          {led.map((each, index) => (
            <li key={index}>
              <Said text={each} lines />
            </li>
          ))}
        </ol>
      )}
      {error.source && <Source source={error.source} />}
      {tail !== null && (
        <pre className="tail" tabIndex={0} aria-label={t("panel.tail")}>
          {visibleLines(tail)}
        </pre>
      )}
    </section>
  );
}
