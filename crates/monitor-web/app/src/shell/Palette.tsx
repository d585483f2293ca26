import { useEffect, useRef, useState } from "react";
import { t } from "../i18n.ts";
import { isCertain, matches, partsOf } from "../model/palette.ts";
import { Dialog } from "../ui/Dialog.tsx";
import { Icon, ICONS } from "../ui/Icon.tsx";
import { Input } from "../ui/Input.tsx";
import { StateMark } from "../ui/StateMark.tsx";
import { type Choice, useChoices } from "./useChoices.ts";

const TYPING_MS = 150;

/** Finds screens, actions, batch tasks, workers, runs by name, number or id, and processes by id. */
export function Palette({ onClose, onHelp }: { onClose: () => void; onHelp: () => void }) {
  const [text, setText] = useState("");
  const [asked, setAsked] = useState("");
  const [at, setAt] = useState(0);
  const field = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const typed = text.trim();
  const { groups, isAnswered } = useChoices(typed, asked, onHelp);
  const choices = groups.flatMap(({ entries }) => entries);
  const [entered, setEntered] = useState(false);
  const active = Math.min(at, choices.length - 1);
  useEffect(() => field.current?.focus(), []);
  useEffect(() => {
    const timer = setTimeout(() => setAsked(typed), TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  useEffect(() => {
    list.current?.querySelectorAll("[role=option]")[active]?.scrollIntoView({ block: "nearest" });
  }, [active]);

  const take = (choice: Choice | undefined) => {
    if (!choice) return;
    onClose();
    choice.go();
  };
  const isMeant = (choice: Choice | undefined) => isAnswered || (choice !== undefined && (isCertain(choice, typed) || (at > 0 && !choice.isFound)));
  // Pressing Enter at once selects a result for the typed text, not an earlier one.
  useEffect(() => {
    if (!entered || !isMeant(choices[active])) return;
    setEntered(false);
    take(choices[active]);
  });
  const onKey = (event: React.KeyboardEvent) => {
    if (event.nativeEvent.isComposing) return;
    if (event.key === "Enter") setEntered(true);
    else if (event.key === "ArrowDown") setAt(Math.min(active + 1, choices.length - 1));
    else if (event.key === "ArrowUp") setAt(Math.max(active - 1, 0));
    else return;
    event.preventDefault();
  };
  return (
    <Dialog label={t("palette.title")} className="palette" onClose={onClose}>
      <Input
        ref={field}
        type="text"
        role="combobox"
        aria-expanded="true"
        aria-controls="choices"
        aria-activedescendant={active >= 0 ? `choice-${active}` : undefined}
        aria-label={t("palette.title")}
        placeholder={t("palette.hint")}
        spellCheck={false}
        autoComplete="off"
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setAt(0);
          setEntered(false);
        }}
        onKeyDown={onKey}
      />
      <div ref={list} id="choices" role="listbox" aria-label={t("palette.found")} aria-busy={!isAnswered}>
        {groups.map(({ group, entries }) => (
          <ul key={group} role="group" aria-labelledby={`choices-${group}`}>
            <li id={`choices-${group}`} role="presentation" className="dim">
              {t(`palette.group.${group}`)}
            </li>
            {entries.map((choice) => {
              const index = choices.indexOf(choice);
              // Rows are reused for other results at the same position.
              return <Option key={index} choice={choice} typed={typed} index={index} isActive={index === active} onPoint={() => setAt(index)} onTake={() => take(choice)} />;
            })}
          </ul>
        ))}
      </div>
      {choices.length === 0 && <p className="dim">{t("palette.none")}</p>}
    </Dialog>
  );
}

function Option({ choice, typed, index, isActive, onPoint, onTake }: { choice: Choice; typed: string; index: number; isActive: boolean; onPoint: () => void; onTake: () => void }) {
  const { group, text, hint = "", state, icon = ICONS.to } = choice;
  return (
    <li id={`choice-${index}`} role="option" aria-selected={isActive} onPointerMove={onPoint} onClick={onTake}>
      <span className="state" data-state={state} aria-hidden="true">
        {state === undefined ? <Icon d={icon} /> : <StateMark state={state} />}
      </span>
      <span className="text" translate={group === "actions" || group === "sections" ? undefined : "no"}>
        <Marked text={text} typed={typed} />
      </span>
      <span className="dim">{matches(text, typed) ? hint : <Marked text={hint} typed={typed} />}</span>
    </li>
  );
}

/** A text whose typed parts are emphasised. */
function Marked({ text, typed }: { text: string; typed: string }) {
  return partsOf(text, typed).map((part, index) => (part.isMatch ? <mark key={index}>{part.text}</mark> : part.text));
}
