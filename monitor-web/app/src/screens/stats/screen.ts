import type { Screen } from "../screen.ts";

export const screen: Screen = { path: "/tasks/statistics", nav: "stats.title", place: 2, load: () => import("./Statistics.tsx") };
