import type { Failure } from "../../api/types.ts";
import { t, wordText } from "../../i18n.ts";
import { causesCut, linksOf, tailOf } from "../../model/errors.ts";
import { visible, visibleLines } from "../../model/text.ts";
import { Exit } from "../../ui/Exit.tsx";
import { Said } from "../../ui/Text.tsx";
import { Source } from "./Source.tsx";

/** The error and its location: the message, then its causes, the nearest first. The end of the output is left out next to the log. */
export function ErrorSection({ error, hasLog = false }: { error: Failure; hasLog?: boolean }) {
  const [message = "", ...causes] = linksOf(error);
  const left = causesCut(error);
  const tail = hasLog ? null : tailOf(error);
  return (
    <section className="failure">
      <h3>
        {t("panel.error")} <span className="dim">{[wordText("error", error.kind), visible(error.type ?? "")].filter(Boolean).join(" · ")}</span>
      </h3>
      <p className="message">
        <Said text={message} lines />
        <Exit error={error} />
      </p>
      {causes.length > 0 && (
        <ol className="chain">
          {causes.map((cause, index) => (
            <li key={index}>
              <span className="dim">{t("panel.caused-by")}:</span> <Said text={cause} lines />
            </li>
          ))}
        </ol>
      )}
      {left > 0 && <p className="dim">{t("cut.causes", { count: left })}</p>}
      {error.source && <Source source={error.source} />}
      {tail !== null && (
        <pre className="tail" tabIndex={0} aria-label={t("panel.tail")}>
          {visibleLines(tail)}
        </pre>
      )}
    </section>
  );
}
