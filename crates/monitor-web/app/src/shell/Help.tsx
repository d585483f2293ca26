import { type MessageId, t } from "../i18n.ts";
import { Button } from "../ui/Button.tsx";
import { Dialog } from "../ui/Dialog.tsx";
import { PALETTE_KEY } from "./keys.ts";

/** All keyboard shortcuts by context. docs/reference/keys.md lists the same. */
const KEYS: readonly (readonly [MessageId, readonly (readonly [keys: string, MessageId])[]])[] = [
  [
    "keys.everywhere",
    [
      ["?", "keys.help"],
      [PALETTE_KEY, "keys.palette"],
      ["/", "keys.search"],
    ],
  ],
  [
    "keys.lists",
    [
      ["↑ ↓", "keys.move"],
      ["PgUp PgDn", "keys.page"],
      ["Home End", "keys.ends"],
      ["Enter", "keys.enter"],
      ["␣", "keys.tick"],
      ["⇧↑ ⇧↓", "keys.tick.more"],
    ],
  ],
  [
    "root.tab.tree",
    [
      ["↑ ↓", "keys.move"],
      ["→ ←", "keys.fold"],
      ["PgUp PgDn", "keys.page"],
      ["Home End", "keys.ends"],
      ["1 … 9", "keys.level"],
      ["e E", "keys.failure"],
      ["p", "keys.parent"],
      ["Esc", "keys.close"],
    ],
  ],
  [
    "root.tab.timeline",
    [
      ["W S", "keys.zoom"],
      ["A D", "keys.pan"],
      ["0", "keys.all"],
      ["⇧", "keys.range"],
      ["R", "keys.sum"],
    ],
  ],
];

/** Lists the keyboard shortcuts; `without` omits those that don't apply. */
export function Help({ onClose, without = [] }: { onClose: () => void; without?: readonly MessageId[] }) {
  return (
    <Dialog label={t("keys.title")} className="help" onClose={onClose}>
      <h2>{t("keys.title")}</h2>
      {KEYS.map(([title, keys]) => (
        <section key={title}>
          <h3>{t(title)}</h3>
          <dl>
            {keys.filter(([, what]) => !without.includes(what)).map(([key, what]) => (
              <div key={key}>
                <dt>
                  {key.split(" ").map((each) => (
                    <kbd key={each}>{each}</kbd>
                  ))}
                </dt>
                <dd>{t(what)}</dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
      <Button className="outlined" onClick={onClose}>
        {t("keys.done")}
      </Button>
    </Dialog>
  );
}
