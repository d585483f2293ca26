import { useQuery } from "@tanstack/react-query";
import { Link, Outlet, useParams } from "@tanstack/react-router";
import { useEffect, useState } from "react";
import { fetchRoots } from "../api/client.ts";
import type { Root } from "../api/types.ts";
import { type MessageId, t } from "../i18n.ts";
import { visible } from "../model/text.ts";
import { absolute, zoneName } from "../model/time.ts";
import { Announcer } from "../shell/Announcer.tsx";
import { Help } from "../shell/Help.tsx";
import { LanguageButton } from "../shell/LanguageButton.tsx";
import { ThemeButton } from "../shell/ThemeButton.tsx";
import { Button } from "../ui/Button.tsx";
import { StateGlyph } from "../ui/State.tsx";
import { RunTitle } from "../ui/Text.tsx";
import { file } from "./file.ts";
import "../shell/dialogs.css";
import "./report.css";

/** Keyboard shortcuts that are only available on the full page. */
const WITHOUT: readonly MessageId[] = ["keys.palette", "keys.tick", "keys.tick.more"];

/** The frame around the runs of a file. */
export function Shell() {
  const [helps, setHelps] = useState(false);
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.key !== "?" || event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey) return;
      setHelps(true);
      event.preventDefault();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, []);
  return (
    <>
      <header className="about-file" aria-label={t("report.about")}>
        <About />
        <span className="buttons">
          <Button className="keys" aria-keyshortcuts="?" aria-label={t("keys.title")} title={t("keys.title")} onClick={() => setHelps(true)}>
            ?
          </Button>
          <LanguageButton />
          <ThemeButton />
        </span>
      </header>
      <main>
        <Outlet />
      </main>
      <Announcer />
      {helps && <Help without={WITHOUT} onClose={() => setHelps(false)} />}
    </>
  );
}

/** Product, time of writing, states of the runs at that time, and omitted data. */
function About() {
  const { root: shown } = useParams({ strict: false }) as { root?: string };
  const { data } = useQuery({ queryKey: ["roots", "file"], queryFn: ({ signal }) => fetchRoots({}, signal) });
  const roots = data?.roots ?? [];
  const { omitted_lines = 0 } = file.runs.find(({ root_id }) => root_id === shown) ?? {};
  return (
    <>
      <span className="product">
        {t("app.name")} <span className="dim number">{visible(file.version)}</span>
      </span>
      <span className="dim">
        {t("report.written", { time: `${absolute(file.written_us).slice(0, 19)} ${zoneName(file.written_us)}` })}
        {roots.length === 1 && roots.map((root) => ` · ${endOf(root)}`)}
      </span>
      {roots.length > 1 && (
        <nav aria-label={t("report.runs")}>
          {roots.map((root) => (
            <Link key={root.root_id} to="/tasks/$root" params={{ root: root.root_id }} search={{ with: otherThan(root.root_id) }} aria-current={root.root_id === shown ? "page" : undefined} title={endOf(root)}>
              <StateGlyph state={root.state} /> <RunTitle run={root} />
              {root.ended_us === null && <span className="dim"> {endOf(root)}</span>}
            </Link>
          ))}
        </nav>
      )}
      {omitted_lines > 0 && <span className="left-out">{t("report.omitted", { count: omitted_lines })}</span>}
      {file.redacted.length > 0 && <span className="left-out">{t("report.redacted", { names: file.redacted.map((glob) => visible(glob)).join(", ") })}</span>}
    </>
  );
}

function endOf({ ended_us }: Root): string {
  return t(ended_us === null ? "report.running" : "report.ended");
}

/** The other run of the file, if there is one. */
export function otherThan(root: string): string | undefined {
  return file.runs.find(({ root_id }) => root_id !== root)?.root_id;
}
