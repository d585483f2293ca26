import { useLayoutEffect, useRef, useState } from "react";
import { t } from "../i18n.ts";
import { type RunLog, plainLine } from "../model/batch-log.ts";
import { indented } from "../model/text.ts";
import { Icon, ICONS } from "./Icon.tsx";
import { useRows } from "./useRows.ts";
import "./log-lines.css";

const ROW = 20;

/** Lines of an output, by their places; only the visible ones exist. The end is followed until the reader scrolls up. */
export function LogLines({ log, found, label }: { log: RunLog; found: readonly number[]; label: string }) {
  const scroller = useRef<HTMLDivElement>(null);
  const [follows, setFollows] = useState(true);
  const rows = useRows(scroller, { count: found.length, rowHeight: ROW, head: 0 });
  /** Scroll position that following has set last. */
  const put = useRef(0);
  useLayoutEffect(() => {
    const element = scroller.current;
    // If the reader has scrolled up since, stop following, although the scroll event may not have arrived yet.
    if (!element || !follows || element.scrollTop + 1 < Math.min(put.current, element.scrollHeight - element.clientHeight)) return;
    element.scrollTop = element.scrollHeight;
    put.current = element.scrollTop;
  });
  const onScroll = () => {
    const element = scroller.current;
    if (element) {
      const isAtEnd = element.scrollTop + element.clientHeight >= element.scrollHeight - ROW;
      if (isAtEnd) put.current = element.scrollTop;
      setFollows(isAtEnd);
    }
    rows.onScroll();
  };
  return (
    <div className="log-frame">
      <div ref={scroller} className="log-text mono" translate="no" role="log" aria-live="off" aria-label={label} tabIndex={0} onScroll={onScroll} onScrollEnd={rows.onScrollEnd}>
        <div style={{ height: rows.height, position: "relative" }}>
          {found.slice(rows.first, rows.end).map((place, at) => (
            <div key={place + log.forgotten} className="log-line" style={{ transform: `translateY(${rows.topOf(rows.first + at)}px)` }}>
              {indented(plainLine(log.lines[place] ?? "")) || " "}
            </div>
          ))}
        </div>
      </div>
      {!follows && (
        <button type="button" className="outlined follow" onClick={() => {
            put.current = 0;
            setFollows(true);
          }}>
          <Icon d={ICONS.down} /> {t("logs.follow")}
        </button>
      )}
    </div>
  );
}
