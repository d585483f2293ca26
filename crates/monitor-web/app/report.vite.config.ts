/** Builds the page of a run as a file: one script and one style, which the server puts into each file that it writes. */
import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { type CompiledMessage, compileMessage } from "@lingui/message-utils/compileMessage";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin, runnerImport } from "vite";

const { version } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8")) as { version: string };
const src = fileURLToPath(new URL("src", import.meta.url));

/** What is there beside a server alone, and what takes its place in a file. */
const REPLACED: Readonly<Record<string, string>> = {
  "api/columns.ts": "columns.ts",
  "api/server.ts": "server.ts",
  "clock.ts": "clock.ts",
  "live/live.ts": "live.ts",
  "screens/root/around.tsx": "around.tsx",
  "screens/root/Cancel.tsx": "absent.tsx",
  "screens/root/compare/AnyOther.tsx": "absent.tsx",
  "screens/root/Doctor.tsx": "absent.tsx",
  "screens/root/History.tsx": "absent.tsx",
  "screens/root/RootMenu.tsx": "absent.tsx",
};

const replaced: Plugin = {
  name: "replaced",
  enforce: "pre",
  async resolveId(source, importer) {
    const found = await this.resolve(source, importer, { skipSelf: true });
    const by = found && REPLACED[relative(src, found.id)];
    return by === undefined ? null : `${src}/report/instead/${by}`;
  },
};

/** Vite loads what a part needs before it loads the part; here all parts are in the script. */
const unloaded: Plugin = {
  name: "unloaded",
  enforce: "pre",
  resolveId: (source) => (source === PRELOAD ? source : null),
  load: (id) => (id === PRELOAD ? "export const __vitePreload = (load) => load();" : null),
};
const PRELOAD = "\0vite/preload-helper.js";

const LOCALE = /\/locales\/(?:parts\/)?(\w+\.)?(\w+)\.ts$/;

/** Puts only those texts into the script that its sources use, taken apart. */
function usedTexts(): Plugin {
  const sources: string[] = [];
  const texts = new Map<string, Record<string, string>>();
  return {
    name: "used-texts",
    enforce: "pre",
    async transform(code, id) {
      const [, part = "", language] = LOCALE.exec(id) ?? [];
      if (language === undefined) {
        if (id.startsWith(src)) sources.push(code);
        return null;
      }
      const { module } = await runnerImport<Record<string, Record<string, string>>>(id, { configFile: false });
      texts.set(part + language, module[language] ?? {});
      return `export const ${language} = globalThis.${placeholder(part + language)};`;
    },
    renderChunk(code) {
      const all = sources.join("\n");
      const composed = [...all.matchAll(/`([a-z.-]+\.)\$\{/g)].map(([, prefix = ""]) => prefix);
      const families = [...all.matchAll(/wordText\("([a-z.]+)"/g)].map(([, family = ""]) => `${family}.`);
      const isUsed = (id: string) => all.includes(`"${id}"`) || [...composed, ...families].some((prefix) => id.startsWith(prefix));
      let filled = code;
      for (const [name, of] of texts) {
        const compiled: Record<string, CompiledMessage> = {};
        for (const [id, text] of Object.entries(of)) if (isUsed(id)) compiled[id] = compileMessage(text);
        filled = filled.replaceAll(`globalThis.${placeholder(name)}`, () => JSON.stringify(compiled));
      }
      return { code: filled, map: null };
    },
  };
}

function placeholder(name: string): string {
  return `TEXTS_${name.replace(".", "_")}`;
}

/** Makes the script one that may stand in a page: nothing in it ends the element, or begins a comment. */
const inlined: Plugin = {
  name: "inlined",
  generateBundle: {
    order: "post",
    handler(_, bundle) {
      for (const file of Object.values(bundle)) {
        if (file.type === "chunk") file.code = file.code.replace(/<(?=\/script|script|!--)/gi, "\\x3C");
      }
    },
  },
};

export default defineConfig({
  define: { __PAGE_VERSION__: JSON.stringify(version), __TEXTS_ARE_COMPILED__: "true" },
  plugins: [replaced, unloaded, usedTexts(), react(), inlined],
  publicDir: false,
  build: {
    assetsInlineLimit: Number.MAX_SAFE_INTEGER,
    chunkSizeWarningLimit: 1_000,
    cssCodeSplit: false,
    emptyOutDir: true,
    modulePreload: false,
    target: "es2022",
    rolldownOptions: { input: "src/report/main.tsx", output: { codeSplitting: false, entryFileNames: "report.js", assetFileNames: "report[extname]" } },
  },
});
