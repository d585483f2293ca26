import { count, t } from "../i18n.ts";
import { headAndTail, keptOf, visible, visibleLines } from "../model/text.ts";
import { Icon, ICONS } from "./Icon.tsx";

/** A name on one line, shortened in its middle if necessary. */
export function Name({ text, tail = 10 }: { text: string; tail?: number }) {
  const kept = keptOf(text);
  const shown = visible(kept.text);
  const [head, end] = headAndTail(shown, tail);
  return (
    <>
      <span className="name" title={shown}>
        <span className="head">{head}</span>
        {end !== "" && <span className="tail">{end}</span>}
      </span>
      <Cut bytes={kept.cutBytes} />
    </>
  );
}

/** Recorded text on one or several lines, with a mark if it was truncated. */
export function Said({ text, lines = false }: { text: string; lines?: boolean }) {
  const kept = keptOf(text);
  return (
    <>
      {lines ? visibleLines(kept.text) : visible(kept.text)}
      <Cut bytes={kept.cutBytes} />
    </>
  );
}

/** Mark of a text that was too long to be stored completely. */
function Cut({ bytes }: { bytes: number }) {
  if (bytes === 0) return null;
  return (
    <span className="mark cut" title={t("cut.why")}>
      <Icon d={ICONS.cut} /> {t("cut.bytes", { count: count(bytes) })}
    </span>
  );
}
