/** Links that open a source location in the reader's editor, as configured in this browser. */
const KEY = "monitor-editor";

export interface Editor {
  /** Link template with `{path}` and `{line}`; empty disables links. */
  link: string;
  /** Folder of the sources, for relative paths. */
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

/** For `useSyncExternalStore`: all displayed locations follow one setting. */
export const editorStore = {
  get: () => (chosen ??= kept()),
  subscribe: (listener: () => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
};

/** Returns undefined without an editor, and for links that would execute code in the page. */
export function editorLink({ link, folder }: Editor, source: { file: string; line: number }): string | undefined {
  if (!/^[a-z][a-z0-9+.-]*:/i.test(link) || /^(javascript|data|vbscript|blob):/i.test(link)) return undefined;
  const isWhole = /^([/\\]|[a-z]:)/i.test(source.file);
  if (!isWhole && folder === "") return undefined;
  const path = isWhole ? source.file : `${folder.replace(/[/\\]+$/, "")}/${source.file}`;
  const encoded = path.split("/").map(encodeURIComponent).join("/");
  return link.replaceAll("{path}", encoded).replaceAll("{line}", String(source.line));
}
