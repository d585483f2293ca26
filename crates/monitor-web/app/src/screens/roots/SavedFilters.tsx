import { useState } from "react";
import { t } from "../../i18n.ts";
import { type Filters, isFiltered } from "../../model/filters.ts";
import { nameOf, parseSaved, type Saved, withSaved } from "../../model/saved.ts";
import { visible } from "../../model/text.ts";
import { Button } from "../../ui/Button.tsx";
import { Icon, ICONS } from "../../ui/Icon.tsx";
import { Input } from "../../ui/Input.tsx";
import { Menu } from "../../ui/Menu.tsx";

const KEY = "monitor-filters";
/** Strokes of a bookmark. */
const SAVED = "M4.5 2.5h7v11l-3.5-3l-3.5 3z";

/** Filters that the reader has saved in this browser. */
export function SavedFilters({ filters, onChange }: { filters: Filters; onChange: (filters: Filters) => void }) {
  const [saved, setSaved] = useState(() => parseSaved(localStorage.getItem(KEY)));
  const keep = (next: Saved[]) => {
    localStorage.setItem(KEY, JSON.stringify(next));
    setSaved(next);
  };
  return (
    <Menu
      label={
        <>
          <Icon d={SAVED} /> <span>{t("tasks.saved")}</span>
        </>
      }
    >
      {saved.map((each) => (
        <span key={each.name} className="choice-line">
          <Button data-choice onClick={() => onChange(each.filters)}>
            {visible(each.name)}
          </Button>
          <Button className="dim" aria-label={t("tasks.saved.remove", { name: each.name })} onClick={() => keep(saved.filter((other) => other !== each))}>
            <Icon d={ICONS.close} />
          </Button>
        </span>
      ))}
      {saved.length === 0 && <p className="dim">{t("tasks.saved.none")}</p>}
      {isFiltered(filters) && <Keep key={JSON.stringify(filters)} suggestion={nameOf(filters)} onKeep={(name) => keep(withSaved(saved, { name, filters }))} />}
    </Menu>
  );
}

function Keep({ suggestion, onKeep }: { suggestion: string; onKeep: (name: string) => void }) {
  const [name, setName] = useState(suggestion);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (name.trim() !== "") onKeep(name.trim());
      }}
    >
      <Input type="text" aria-label={t("tasks.saved.name")} value={name} onChange={(event) => setName(event.target.value)} />
      <Button type="submit" className="outlined">
        {t("tasks.saved.keep")}
      </Button>
    </form>
  );
}
