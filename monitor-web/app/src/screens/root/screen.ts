import type { Screen } from "../screen.ts";
import { RootPage } from "./RootPage.tsx";

export const screen: Screen = { path: "/tasks/$root", component: RootPage };
