import { Link, Outlet } from "@tanstack/react-router";
import { t } from "../i18n.ts";
import { screens } from "../screens/screen.ts";
import { ConnectionState } from "./ConnectionState.tsx";
import { LanguageButton } from "./LanguageButton.tsx";
import "./shell.css";
import { ThemeButton } from "./ThemeButton.tsx";

/** What stands around every screen. */
export function Shell() {
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
                <Link key={path} to={path} activeProps={{ "aria-current": "page" }}>
                  {t(nav)}
                </Link>
              ),
          )}
        </nav>
        <ConnectionState />
        <LanguageButton />
        <ThemeButton />
      </header>
      <main>
        <Outlet />
      </main>
    </>
  );
}
