import type { Progress } from "../api/types.ts";
import { count } from "../i18n.ts";
import { visible } from "../model/text.ts";

/** Formats the reported progress: `7,200 / 10,000 files`. */
export function progressText({ done, total, unit }: Progress): string {
  const part = total === null ? count(done) : `${count(done)} / ${count(total)}`;
  return unit === null ? part : `${part} ${visible(unit)}`;
}
