import type { Screen } from "../screen.ts";

export const screen: Screen = { path: "/tasks", nav: "tasks.title", place: 1, load: () => import("./Tasks.tsx") };
