import type { Screen } from "../screen.ts";

export const screen: Screen = {
  path: "/tasks/about",
  sections: [{ group: "server", place: 9, title: "about.title", icon: "M8 6a2 2 0 1 1 0 4a2 2 0 0 1 0-4M8 2.5v2M8 11.5v2M2.5 8h2M11.5 8h2M4.1 4.1l1.4 1.4M10.5 10.5l1.4 1.4M11.9 4.1l-1.4 1.4M5.5 10.5l-1.4 1.4" }],
  load: () => import("./About.tsx"),
};
