import { loadPart } from "../../i18n.ts";
import type { Screen } from "../screen.ts";

export const screen: Screen = {
  path: "/tasks/queue",
  sections: [{ group: "operate", place: 4, title: "queue.title", icon: "M2 4h12M2 8h12M2 12h8" }],
  load: async () => {
    const [screen] = await Promise.all([import("./Queue.tsx"), loadPart("queue")]);
    return screen;
  },
};
