import { t } from "../../i18n.ts";
import type { Rows } from "../../model/rows.ts";
import { Icon, ICONS } from "../../ui/Icon.tsx";
import { StateGlyph } from "../../ui/State.tsx";
import { Name } from "../../ui/Text.tsx";
import { indentation } from "./TreeRow.tsx";
import { rowAbove } from "./keys.ts";
import type { RootView } from "./view.ts";

const MOST = 5;

/** Returns the maximum number of sticky rows: at most a third of the view. */
export function mostStuck(height: number, rowHeight: number): number {
  return Math.min(MOST, Math.max(0, Math.floor((height / rowHeight - 1) / 3)));
}

/** Returns the number of sticky rows when this row is the first visible one. */
export function stuckRows(rows: Rows, row: number, most: number): number {
  return Math.min(rows.levels[row] ?? 0, most);
}

interface Props {
  view: RootView;
  /** The first visible row without sticky rows. */
  first: number;
  most: number;
  onSelect: (id: string) => void;
}

/** The ancestors of the first visible row that are scrolled out of view: the root's row and the nearest ancestors. */
export function StickyRows({ view, first, most, onSelect }: Props) {
  const { tree } = view;
  const stuck = stuckAbove(view, first, most);
  if (stuck.length === 0) return null;
  return (
    <div className="sticky" aria-hidden="true">
      {stuck.map((row) => {
        const id = view.idOf(row) ?? "";
        const slot = view.rows().slots[row] as number;
        const group = view.groupAt(row);
        const { name, state } = group?.lane ? { name: group.lane.label, state: undefined } : tree.at(group ? (group.members[0] as number) : slot);
        return (
          <div key={id} className="stuck" onClick={() => onSelect(id)}>
            <span className="what" style={{ paddingLeft: indentation(view.rows().levels[row] ?? 0) }}>
              <span className="twist">
                <Icon d={ICONS.open} />
              </span>
              {state !== undefined && <StateGlyph state={state} />}
              <Name text={name === "" ? t("root.unnamed") : name} />
            </span>
          </div>
        );
      })}
    </div>
  );
}

/** Returns the sticky rows: at most enough to keep the first visible row below all of them. */
function stuckAbove(view: RootView, first: number, most: number): number[] {
  const { slots } = view.rows();
  for (let over = 0; over <= most && first + over < slots.length; over += 1) {
    const chain: number[] = [];
    for (let above = rowAbove(view, first + over); above >= 0; above = rowAbove(view, above)) chain.unshift(above);
    const shown = chain.length <= most ? chain : most < 2 ? chain.slice(-most) : [chain[0] as number, ...chain.slice(1 - most)];
    if (shown.length <= over) return shown;
  }
  return [];
}
