import type { Screen } from "../screen.ts";

export const screen: Screen = {
  path: "/tasks/workers",
  sections: [{ group: "server", place: 1, isNear: true, title: "workers.title", icon: "M8 3a2.5 2.5 0 1 1 0 5a2.5 2.5 0 0 1 0-5M3 13c.6-2.6 2.6-4 5-4s4.4 1.4 5 4" }],
  load: () => import("./Workers.tsx"),
};
