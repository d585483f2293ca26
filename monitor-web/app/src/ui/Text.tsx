import { headAndTail, visible } from "../model/text.ts";

/** A name on one line, cut in its middle where there is no room. */
export function Name({ text, tail = 10 }: { text: string; tail?: number }) {
  const shown = visible(text);
  const [head, end] = headAndTail(shown, tail);
  return (
    <span className="name" title={shown}>
      <span className="head">{head}</span>
      {end !== "" && <span className="tail">{end}</span>}
    </span>
  );
}
