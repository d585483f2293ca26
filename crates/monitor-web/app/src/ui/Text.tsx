import { count, t } from "../i18n.ts";
import { keptOf, splitTitle, visible, visibleLines } from "../model/text.ts";
import { Icon, ICONS } from "./Icon.tsx";

/**
 * A name on one line, shortened at its end if necessary. It is a single text node, so that the browser finds and copies it as a whole, and
 * its direction is its own.
 */
export function Name({ text }: { text: string }) {
  const kept = keptOf(text);
  const shown = visible(kept.text);
  return (
    <>
      <bdi className="name" title={shown}>
        {shown}
      </bdi>
      <Cut bytes={kept.cutBytes} />
    </>
  );
}

/** Length of a batch and a number that may leave no room for the name. */
const LONG = 24;

/** The name of a run, and its batch and number, which stay visible if the name is shortened. */
export function RunTitle({ run: { name, title } }: { run: { name: string; title: string } }) {
  const [own, rest] = splitTitle(name, title);
  return (
    <>
      <Name text={name === "" ? t("root.unnamed") : own} />
      {rest !== "" && (
        <span className="number-of" data-long={rest.length > LONG}>
          {" "}
          <bdi dir="ltr">{visible(rest)}</bdi>
        </span>
      )}
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
export function Cut({ bytes }: { bytes: number }) {
  if (bytes === 0) return null;
  return (
    <span className="mark cut" title={t("cut.why")}>
      <Icon d={ICONS.cut} /> {t("cut.bytes", { count: count(bytes) })}
    </span>
  );
}
