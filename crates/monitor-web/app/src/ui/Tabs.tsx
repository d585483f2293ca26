import { Link } from "@tanstack/react-router";
import { count, t } from "../i18n.ts";
import { StateMark } from "./StateMark.tsx";
import "./states.css";

interface Tab {
  text: string;
  /** Query string of the tab. */
  search: Readonly<Record<string, string>>;
  isCurrent: boolean;
  /** Number of items that need attention. */
  bad?: number;
}

/** Links to the parts of a section or of an item. */
export function Tabs({ label, to, tabs }: { label: string; to: string; tabs: readonly Tab[] }) {
  return (
    <nav className="head-tabs" aria-label={label}>
      {tabs.map(({ text, search, isCurrent, bad = 0 }) => (
        <Link key={text} to={to} search={search} activeOptions={{ exact: true }} aria-current={isCurrent ? "page" : undefined}>
          {text}
          {bad > 0 && <span className="number bad">{count(bad)}</span>}
        </Link>
      ))}
    </nav>
  );
}

export interface StateTab<Key extends string> {
  key: Key;
  text: string;
  count: number;
  /** True if a number above 0 needs attention. */
  isBad?: boolean;
  /** State whose mark the tab has, if its key is none. */
  mark?: string;
}

/** Buttons that limit a list to a state, with their numbers. States without items are left out if there is little space. */
export function StateTabs<Key extends string>({ tabs, all, chosen, onChoose }: { tabs: readonly StateTab<Key>[]; all: { text: string; count: number | undefined }; chosen: string | undefined; onChoose: (key: Key | undefined) => void }) {
  return (
    <div className="states" role="group" aria-label={t("tasks.filter.state")}>
      <button type="button" aria-pressed={chosen === undefined} onClick={() => onChoose(undefined)}>
        {all.text} {all.count !== undefined && <span className="number">{count(all.count)}</span>}
      </button>
      {tabs.map(({ key, text, count: of, isBad = false, mark = key }) => (
        <button key={key} type="button" data-state={mark} data-none={of === 0 || undefined} data-bad={isBad || undefined} aria-pressed={chosen === key} onClick={() => onChoose(chosen === key ? undefined : key)}>
          <StateMark state={mark} /> {text} {of > 0 && <span className="number">{count(of)}</span>}
        </button>
      ))}
    </div>
  );
}
