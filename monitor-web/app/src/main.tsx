import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { readAhead } from "./api/ahead.ts";
import { startLive } from "./data/live.ts";
import { queryClient } from "./data/query.ts";
import { loadTexts, locale } from "./i18n.ts";
import { screens } from "./screens/screen.ts";
import { router } from "./shell/router.tsx";
import { applyTheme, chosenTheme } from "./shell/theme.ts";
import { idle } from "./ui/useIdle.ts";
import "./ui/tokens.css";
import "./ui/base.css";

applyTheme(chosenTheme());
document.documentElement.lang = locale === "zh" ? "zh-Hans" : locale;
startLive();
// The screen that is asked for is read beside the texts, not after them.
const asked = screens.find(({ path }) => path === location.pathname) ?? screens.find(({ path }) => path.endsWith("$root"));
await Promise.all([loadTexts(), asked?.load().catch(() => undefined)]);

createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <QueryClientProvider client={queryClient}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
);

// All screens are there when they are gone to, even if the connection is not; what is asked for goes first, and one after the other
// none of them keeps the page from answering.
await readAhead;
for (const { load } of screens) {
  await idle();
  await load().catch(() => undefined);
}
