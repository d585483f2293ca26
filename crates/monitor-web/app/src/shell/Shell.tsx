import { Outlet } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { watchAlerts } from "../data/notices.ts";
import { Announcer } from "./Announcer.tsx";
import { Help } from "./Help.tsx";
import { Palette } from "./Palette.tsx";
import { Rail } from "./Rail.tsx";
import { ServerNotice } from "./ServerNotice.tsx";
import "./dialogs.css";
import "./shell.css";

/** The frame around every screen. */
export function Shell() {
  const [over, setOver] = useState<"help" | "palette" | null>(null);
  const close = () => setOver(null);
  useEffect(watchAlerts, []);
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
      <Rail onFind={() => setOver("palette")} onHelp={() => setOver("help")} />
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
