import type { Screen } from "../screen.ts";

export const screen: Screen = {
  path: "/tasks/statistics",
  sections: [{ group: "observe", place: 3, title: "stats.title", icon: "M3 13V8M8 13V3M13 13V6" }],
  load: () => import("./Statistics.tsx"),
};
