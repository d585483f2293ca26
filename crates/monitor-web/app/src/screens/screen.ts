import type { ComponentType } from "react";
import type { Status } from "../api/types.ts";
import type { MessageId } from "../i18n.ts";

/** The export `screen` of a folder in `screens/`, with everything that the page needs to know about the screen. */
export interface Screen {
  /** Its address; `$name` is a parameter. */
  path: string;
  /** The entries of the rail that lead to it; without one it is reached by links only. */
  sections?: readonly Section[];
  /** Loads the code of the screen, when it is opened for the first time. */
  load: () => Promise<{ default: ComponentType }>;
}

export const GROUPS = ["observe", "operate", "server"] as const;

/** One entry of the rail. */
export interface Section {
  group: (typeof GROUPS)[number];
  /** Its place within the group. */
  place: number;
  title: MessageId;
  /** True if it is in the bar of a narrow screen; the others are in its menu. */
  isNear?: boolean;
  /** The strokes of its icon in a square of 16. */
  icon: string;
  /** Query string after the screen's path, if a screen has several entries. */
  search?: Readonly<Record<string, string>>;
  /** Number of items that need attention, from the server's status (if known) and the number of active alerts. */
  badge?: (status: Status | undefined, firing: number) => number;
}

export interface RailSection extends Section {
  path: string;
}

const files = import.meta.glob<{ screen: Screen }>("./*/screen.ts", { eager: true });

export const screens: readonly Screen[] = Object.values(files).map((file) => file.screen);

/** All entries of the rail, in its order. */
export const sections: readonly RailSection[] = screens
  .flatMap(({ path, sections: own = [] }) => own.map((section) => ({ ...section, path })))
  .sort((a, b) => GROUPS.indexOf(a.group) - GROUPS.indexOf(b.group) || a.place - b.place);
