import { useEffect, useRef, useState } from "react";
import { count, t } from "../../i18n.ts";
import { Button } from "../../ui/Button.tsx";
import { Input } from "../../ui/Input.tsx";
import { useSlash } from "../../ui/useSlash.ts";
import { stepFailure } from "./keys.ts";
import { laneKindOf, LANES } from "./lanes.ts";
import type { RootSearch } from "./useRootSearch.ts";
import type { Selection } from "./useSelection.ts";
import type { RootView } from "./view.ts";

interface Props {
  view: RootView;
  selection: Selection;
  search: RootSearch;
}

export function TreeToolbar({ view, selection, search }: Props) {
  const total = Object.values(view.root?.counts ?? {}).reduce((sum, each) => sum + each, 0);
  const failed = (view.root?.counts.failed ?? 0) + (view.root?.counts.lost ?? 0);
  const loaded = view.tree.size;
  const found = view.found();
  const { level } = view.folding;
  const lanes = laneKindOf(search.lanes);
  return (
    <div className="toolbar">
      <span className="dim size">
        {view.loading && loaded < total
          ? t("root.shown", { shown: count(loaded), total: count(total) })
          : found
            ? t("root.found", { count: count(found.count), total: count(loaded) })
            : t("root.processes", { count: loaded })}
      </span>
      {failed > 0 && (
        <span className="group">
          <Button title="E" onClick={() => stepFailure(view, selection, -1)}>
            {t("root.failure.previous")}
          </Button>
          <Button title="e" onClick={() => stepFailure(view, selection, 1)}>
            {t("root.failure.next")}
          </Button>
        </span>
      )}
      <Filter search={search} />
      <Button className="toggle" aria-pressed={search.grouped} title={t("root.group.why")} onClick={() => search.set({ group: search.grouped ? undefined : "1" })}>
        {t("root.group")}
      </Button>
      <label className="lanes dim">
        <span>{t("lanes")}</span>
        <select aria-label={t("lanes")} title={t("lanes.why")} value={lanes} onChange={(event) => search.set({ lanes: event.target.value === "tree" ? undefined : event.target.value })}>
          {LANES.map((each) => (
            <option key={each} value={each}>
              {t(each === "tree" ? "lanes.none" : `lanes.${each}`)}
            </option>
          ))}
        </select>
      </label>
      <span className="group levels" role="group" aria-label={t("root.level")}>
        {[1, 2, 3, 4].map((each) => (
          <Button
            key={each}
           
            aria-pressed={level === each}
            aria-label={t("root.level.to", { level: each })}
            title={t("root.level.to", { level: each })}
            onClick={() => view.foldAll(each)}
          >
            {each}
          </Button>
        ))}
      </span>
      <span className="group">
        <Button onClick={() => view.foldAll(Infinity)}>
          {t("root.expand")}
        </Button>
        <Button onClick={() => view.foldAll(lanes === "tree" ? 1 : 0)}>
          {t("root.collapse")}
        </Button>
      </span>
    </div>
  );
}

const TYPING_MS = 150;

/** Takes effect shortly after the last key press. `/` focuses it, Esc clears it. */
function Filter({ search }: { search: RootSearch }) {
  const [text, setText] = useState(search.filter);
  const field = useRef<HTMLInputElement>(null);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => {
    clearTimeout(timer.current);
    setText(search.filter);
  }, [search.filter]);
  useSlash(field);
  const type = (value: string) => {
    setText(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => search.set({ filter: value === "" ? undefined : value }), TYPING_MS);
  };
  return (
    <Input
      ref={field}
      type="search"
      className="filter"
      aria-label={t("root.filter")}
      title={t("root.filter.why")}
      placeholder={`${t("root.filter")}  /`}
      value={text}
      onChange={(event) => type(event.target.value)}
      onKeyDown={(event) => {
        if (event.key !== "Escape") return;
        event.stopPropagation();
        if (text === "") field.current?.blur();
        else type("");
      }}
    />
  );
}
