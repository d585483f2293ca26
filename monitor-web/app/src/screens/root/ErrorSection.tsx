import type { Failure } from "../../api/types.ts";
import { t, wordText } from "../../i18n.ts";
import { visible, visibleLines } from "../../model/text.ts";
import { Code } from "./facts.tsx";

/** What failed, where, and what it was caused by. */
export function ErrorSection({ error }: { error: Failure }) {
  const chain = error.chain ?? [];
  return (
    <section className="failure">
      <h3>
        {t("panel.error")} <span className="dim">{[wordText("error", error.kind), visible(error.type ?? "")].filter(Boolean).join(" · ")}</span>
      </h3>
      <p className="message">{visibleLines(error.message)}</p>
      {chain.length > 0 && (
        <>
          <h3>{t("panel.causes")}</h3>
          <ol className="chain">
            {chain.map((cause, index) => (
              <li key={index}>{visibleLines(cause)}</li>
            ))}
          </ol>
        </>
      )}
      {error.source && <Code text={`${error.source.file}:${error.source.line}`} copy />}
    </section>
  );
}
