import { count, t } from "../i18n.ts";
import { MOST_PRINTED, type VirtualRows } from "./useRows.ts";

/** On paper, the number of rows after the last one that is printed. */
export function NotPrinted({ rows }: { rows: VirtualRows }) {
  if (rows.notPrinted === 0) return null;
  return <p className="not-printed">{t("print.left-out", { count: rows.notPrinted, most: count(MOST_PRINTED) })}</p>;
}
