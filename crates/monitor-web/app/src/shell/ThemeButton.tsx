import { useSyncExternalStore } from "react";
import { t } from "../i18n.ts";
import { Button } from "../ui/Button.tsx";
import { applyTheme, chosenTheme, onTheme, THEMES, type Theme } from "./theme.ts";

/** Shapes of the icon: half, empty or full. */
const FILLS: Record<Theme, string> = { system: "M8 2.5a5.5 5.5 0 0 1 0 11z", light: "", dark: "M8 2.5a5.5 5.5 0 1 1 0 11a5.5 5.5 0 0 1 0-11" };

export function ThemeButton() {
  const theme = useSyncExternalStore(onTheme, chosenTheme);
  const next = () => applyTheme(THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? "system");
  const label = t(`theme.${theme}`);
  return (
    <Button className="theme" title={label} aria-label={label} onClick={next}>
      <svg className="icon" viewBox="0 0 16 16" aria-hidden="true">
        <circle cx="8" cy="8" r="5.5" />
        <path fill="currentColor" d={FILLS[theme]} />
      </svg>
    </Button>
  );
}
