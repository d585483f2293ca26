import type { Screen } from "../screen.ts";
import { Workers } from "./Workers.tsx";

export const screen: Screen = { path: "/tasks/workers", nav: "workers.title", place: 2, component: Workers };
