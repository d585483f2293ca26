import type { Screen } from "../screen.ts";

export const screen: Screen = { path: "/tasks/$root", load: () => import("./RootPage.tsx") };
