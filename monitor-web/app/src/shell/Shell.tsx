import { Link, Outlet } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { t } from "../i18n.ts";
import { screens } from "../screens/screen.ts";
import { Announcer } from "./Announcer.tsx";
import { PALETTE_KEY } from "./keys.ts";
import { ConnectionState } from "./ConnectionState.tsx";
import { Help } from "./Help.tsx";
import { LanguageButton } from "./LanguageButton.tsx";
import { Palette } from "./Palette.tsx";
import { ServerNotice } from "./ServerNotice.tsx";
import "./shell.css";
import { ThemeButton } from "./ThemeButton.tsx";


/** What stands around every screen. */
export function Shell() {
  const [over, setOver] = useState<"help" | "palette" | null>(null);
  const close = () => setOver(null);
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      const isTyping = event.target instanceof HTMLInputElement;
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") setOver("palette");
      else if (event.key === "?" && !isTyping && !event.ctrlKey && !event.metaKey) setOver("help");
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, []);
  return (
    <>
      <header className="shell">
        <Link to="/tasks" className="brand">
          {t("app.name")}
        </Link>
        <nav>
          {screens.map(
            ({ path, nav }) =>
              nav && (
                <Link key={path} to={path} activeOptions={{ exact: true, includeSearch: false }} activeProps={{ "aria-current": "page" }}>
                  {t(nav)}
                </Link>
              ),
          )}
        </nav>
        <button type="button" className="find" aria-keyshortcuts="Control+K" title={t("palette.title")} onClick={() => setOver("palette")}>
          <span aria-hidden="true">⌕</span> <span className="hidden">{t("palette.title")}</span> <kbd>{PALETTE_KEY}</kbd>
        </button>
        <ConnectionState />
        <button type="button" className="keys" aria-keyshortcuts="?" aria-label={t("keys.title")} title={t("keys.title")} onClick={() => setOver("help")}>
          ?
        </button>
        <LanguageButton />
        <ThemeButton />
      </header>
      <main>
        <ServerNotice />
        <Outlet />
      </main>
      <Announcer />
      {over === "help" && <Help onClose={close} />}
      {over === "palette" && <Palette onClose={close} onHelp={() => setOver("help")} />}
    </>
  );
}
