import { useSyncExternalStore } from "react";
import { t } from "../../i18n.ts";
import { Input } from "../../ui/Input.tsx";
import { Menu } from "../../ui/Menu.tsx";
import { chooseEditor, EDITORS, editorLink, editorStore } from "../../ui/editor.ts";
import { Code } from "./facts.tsx";

/** A source location; opens in the reader's editor if one is configured. */
export function Source({ source }: { source: { file: string; line: number } }) {
  const editor = useSyncExternalStore(editorStore.subscribe, editorStore.get);
  const change = (part: Partial<typeof editor>) => chooseEditor({ ...editor, ...part });
  const link = editorLink(editor, source);
  return (
    <span className="source">
      <Code text={`${source.file}:${source.line}`} copy />
      {link !== undefined && (
        <a className="link" href={link}>
          {t("source.open")}
        </a>
      )}
      <Menu label={t("source.editor")} className="quiet">
        <select aria-label={t("source.editor")} value={Object.values(EDITORS).includes(editor.link) ? editor.link : "other"} onChange={(event) => change({ link: event.target.value === "other" ? "" : event.target.value })}>
          <option value="other">{t("source.other")}</option>
          {Object.entries(EDITORS).map(([name, each]) => (
            <option key={name} value={each} translate="no">
              {name}
            </option>
          ))}
        </select>
        <label>
          <span className="dim">{t("source.link")}</span>
          <Input type="text" value={editor.link} onChange={(event) => change({ link: event.target.value })} />
        </label>
        <label>
          <span className="dim">{t("source.folder")}</span>
          <Input type="text" value={editor.folder} onChange={(event) => change({ folder: event.target.value })} />
        </label>
      </Menu>
    </span>
  );
}
