import { useState } from "react";
import { count, t } from "../../i18n.ts";
import { Button } from "../../ui/Button.tsx";
import { StateGlyph } from "../../ui/State.tsx";
import { Name } from "../../ui/Text.tsx";
import { Duration } from "../../ui/Time.tsx";
import type { RootView } from "./view.ts";

const AT_FIRST = 8;
const MOST = 200;

/** Links to the parent and the children of a process. */
export function Relatives({ view, slot, onSelect }: { view: RootView; slot: number; onSelect: (id: string) => void }) {
  const [all, setAll] = useState(false);
  const parent = view.tree.parentOf(slot);
  const children = view.tree.childrenOf(slot);
  if (parent === undefined && children.length === 0) return null;
  const shown = children.slice(0, all ? MOST : AT_FIRST);
  return (
    <section className="relatives">
      {parent !== undefined && (
        <>
          <h3>{t("panel.parent")}</h3>
          <One view={view} slot={parent} onSelect={onSelect} />
        </>
      )}
      {children.length > 0 && <h3>{t("panel.children", { count: count(children.length) })}</h3>}
      {shown.map((child) => (
        <One key={child} view={view} slot={child} onSelect={onSelect} />
      ))}
      {children.length > shown.length && !all && (
        <Button className="inline" onClick={() => setAll(true)}>
          {t("panel.children.more", { count: count(Math.min(MOST, children.length) - shown.length) })}
        </Button>
      )}
    </section>
  );
}

function One({ view, slot, onSelect }: { view: RootView; slot: number; onSelect: (id: string) => void }) {
  const process = view.tree.at(slot);
  return (
    <Button className="relative" onClick={() => onSelect(process.id)}>
      <StateGlyph state={process.state} />
      <Name text={process.name === "" ? t("root.unnamed") : process.name} />
      <Duration process={process} />
    </Button>
  );
}
