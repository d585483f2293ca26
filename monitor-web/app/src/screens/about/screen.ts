import type { Screen } from "../screen.ts";

export const screen: Screen = { path: "/tasks/about", nav: "about.title", place: 4, load: () => import("./About.tsx") };
