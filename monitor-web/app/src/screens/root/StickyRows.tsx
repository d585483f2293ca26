import { t } from "../../i18n.ts";
import type { Rows } from "../../model/rows.ts";
import { Icon, ICONS } from "../../ui/Icon.tsx";
import { StateGlyph } from "../../ui/State.tsx";
import { Name } from "../../ui/Text.tsx";
import { rowAbove } from "./keys.ts";
import type { RootView } from "./view.ts";

const MOST = 5;
const MOST_NARROW = 2;

/** How many rows lie over those at the top when this one is the first in sight. */
export function stuckRows(rows: Rows, row: number, narrow: boolean): number {
  return Math.min(rows.levels[row] ?? 0, narrow ? MOST_NARROW : MOST);
}

interface Props {
  view: RootView;
  /** The first row in sight, if nothing lay over it. */
  first: number;
  narrow: boolean;
  onSelect: (id: string) => void;
}

/** What the rows at the top of the view hang below, where that has been scrolled away. */
export function StickyRows({ view, first, narrow, onSelect }: Props) {
  const { tree } = view;
  const stuck: number[] = [];
  for (let over = 0; over < (narrow ? MOST_NARROW : MOST); over += 1) {
    const above = aboveAtLevel(view, first + over, over);
    if (above < 0 || above >= first + over) break;
    stuck.push(above);
  }
  if (stuck.length === 0) return null;
  return (
    <div className="sticky" aria-hidden="true">
      {stuck.map((row, level) => {
        const id = view.idOf(row) ?? "";
        const slot = view.rows().slots[row] as number;
        const group = view.groupAt(row);
        const { name, state } = group?.lane ? { name: group.lane.label, state: undefined } : tree.at(group ? (group.members[0] as number) : slot);
        return (
          <div key={id} className="stuck" style={{ paddingLeft: level * 16 + 8 }} onClick={() => onSelect(id)}>
            <span className="twist">
              <Icon d={ICONS.open} />
            </span>
            {state !== undefined && <StateGlyph state={state} />}
            <Name text={name === "" ? t("root.unnamed") : name} />
          </div>
        );
      })}
    </div>
  );
}

/** The row of a level that another row hangs below; -1 if it stands no deeper itself. */
function aboveAtLevel(view: RootView, row: number, level: number): number {
  const { levels, slots } = view.rows();
  if (row >= slots.length || (levels[row] ?? 0) <= level) return -1;
  let above = row;
  while (above >= 0 && (levels[above] ?? 0) > level) above = rowAbove(view, above);
  return above;
}
