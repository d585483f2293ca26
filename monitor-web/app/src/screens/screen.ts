import type { ComponentType } from "react";
import type { MessageId } from "../i18n.ts";

/** What a folder of `screens/` exports as `screen`: all that the page needs to know of it. */
export interface Screen {
  /** Its address; `$name` is a parameter. */
  path: string;
  /** Its entry in the header; without one it is reached by links only. */
  nav?: MessageId;
  /** Its place there; those without one come last. */
  place?: number;
  /** Reads what it consists of, when it is gone to for the first time. */
  load: () => Promise<{ default: ComponentType }>;
}

const files = import.meta.glob<{ screen: Screen }>("./*/screen.ts", { eager: true });

export const screens: readonly Screen[] = Object.values(files)
  .map((file) => file.screen)
  .sort((a, b) => (a.place ?? 9) - (b.place ?? 9));
