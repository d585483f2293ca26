import { loadPart } from "../../i18n.ts";
import type { Screen } from "../screen.ts";

export const screen: Screen = {
  path: "/tasks/batch",
  sections: [{ group: "operate", place: 1, isNear: true, title: "batch.title", icon: "M8 2.5a5.5 5.5 0 1 1 0 11a5.5 5.5 0 0 1 0-11M8 5v3.2l2.2 1.6" }],
  load: async () => {
    const [screen] = await Promise.all([import("./Batch.tsx"), loadPart("batch")]);
    return screen;
  },
};
