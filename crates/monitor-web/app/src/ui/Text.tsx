import { count, t } from "../i18n.ts";
import { headAndTail, keptOf, visible, visibleLines } from "../model/text.ts";
import { Icon, ICONS } from "./Icon.tsx";

/** A name on one line, cut in its middle where there is no room. */
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

/** What came in, on one line or on several, and whether it is all of it. */
export function Said({ text, lines = false }: { text: string; lines?: boolean }) {
  const kept = keptOf(text);
  return (
    <>
      {lines ? visibleLines(kept.text) : visible(kept.text)}
      <Cut bytes={kept.cutBytes} />
    </>
  );
}

/** That a text was too long to be kept whole. */
function Cut({ bytes }: { bytes: number }) {
  if (bytes === 0) return null;
  return (
    <span className="mark cut" title={t("cut.why")}>
      <Icon d={ICONS.cut} /> {t("cut.bytes", { count: count(bytes) })}
    </span>
  );
}
