import type { Screen } from "../screen.ts";

export const screen: Screen = { path: "/tasks/workers", nav: "workers.title", place: 3, load: () => import("./Workers.tsx") };
