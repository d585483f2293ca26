import { useState } from "react";
import { t } from "../i18n.ts";
import { applyTheme, chosenTheme, THEMES, type Theme } from "./theme.ts";

const GLYPHS: Record<Theme, string> = { system: "◑", light: "○", dark: "●" };

export function ThemeButton() {
  const [theme, setTheme] = useState(chosenTheme);
  const next = () => {
    const following = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? "system";
    applyTheme(following);
    setTheme(following);
  };
  const label = t(`theme.${theme}`);
  return (
    <button type="button" className="theme" title={label} aria-label={label} onClick={next}>
      {GLYPHS[theme]}
    </button>
  );
}
