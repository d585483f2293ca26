/** The address that opens a place of the sources in the reader's editor, as set in this browser. */
const KEY = "monitor-editor";

export interface Editor {
  /** With `{path}` and `{line}`; none opens nothing. */
  link: string;
  /** Where the sources lie, for those that are given without their folder. */
  folder: string;
}

export const EDITORS: Readonly<Record<string, string>> = {
  "VS Code": "vscode://file{path}:{line}",
  Zed: "zed://file{path}:{line}",
  JetBrains: "idea://open?file={path}&line={line}",
  Emacs: "org-protocol://open-source?url=file://{path}&line={line}",
};

function kept(): Editor {
  try {
    const { link, folder } = JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Editor>;
    return { link: typeof link === "string" ? link : "", folder: typeof folder === "string" ? folder : "" };
  } catch {
    return { link: "", folder: "" };
  }
}

let chosen: Editor | undefined;
const listeners = new Set<() => void>();

export function chooseEditor(editor: Editor): void {
  chosen = editor;
  localStorage.setItem(KEY, JSON.stringify(editor));
  for (const listener of listeners) listener();
}

/** For `useSyncExternalStore`: all sources in sight follow one choice. */
export const editorStore = {
  get: () => (chosen ??= kept()),
  subscribe: (listener: () => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
};

/** Undefined without an editor, and for links that would run something in the page itself. */
export function editorLink({ link, folder }: Editor, source: { file: string; line: number }): string | undefined {
  if (!/^[a-z][a-z0-9+.-]*:/i.test(link) || /^(javascript|data|vbscript|blob):/i.test(link)) return undefined;
  const isWhole = /^([/\\]|[a-z]:)/i.test(source.file);
  if (!isWhole && folder === "") return undefined;
  const path = isWhole ? source.file : `${folder.replace(/[/\\]+$/, "")}/${source.file}`;
  const encoded = path.split("/").map(encodeURIComponent).join("/");
  return link.replaceAll("{path}", encoded).replaceAll("{line}", String(source.line));
}
