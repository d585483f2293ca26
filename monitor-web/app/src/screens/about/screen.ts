import type { Screen } from "../screen.ts";
import { About } from "./About.tsx";

export const screen: Screen = { path: "/tasks/about", nav: "about.title", place: 3, component: About };
