import { loadPart } from "../../i18n.ts";
import type { Screen } from "../screen.ts";

export const screen: Screen = {
  path: "/tasks/alerts",
  sections: [{ group: "operate", place: 3, isNear: true, title: "alerts.title", icon: "M4 11V7a4 4 0 0 1 8 0v4l1 1H3zM6.5 13.5h3", badge: (_, firing) => firing }],
  load: async () => {
    const [screen] = await Promise.all([import("./Alerts.tsx"), loadPart("alerts")]);
    return screen;
  },
};
