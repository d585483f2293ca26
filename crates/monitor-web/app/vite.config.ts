import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { type CompiledMessage, compileMessage } from "@lingui/message-utils/compileMessage";
import react from "@vitejs/plugin-react";
import { type Plugin, runnerImport } from "vite";
import { defineConfig } from "vitest/config";

const { version } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8")) as { version: string };

/** Puts each file of the page, compressed as far as it goes, beside it: the server sends what a browser accepts. */
const compressed: Plugin = {
  name: "compressed",
  apply: "build",
  writeBundle({ dir }) {
    for (const name of readdirSync(dir!, { recursive: true, encoding: "utf8" })) {
      if (!/\.(html|js|css|json|svg|txt)$/.test(name)) continue;
      const plain = readFileSync(`${dir}/${name}`);
      const brotli = brotliCompressSync(plain, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: plain.length } });
      for (const [ending, bytes] of [["br", brotli], ["gz", gzipSync(plain, { level: 9 })]] as const) {
        // What hardly becomes smaller isn't worth unpacking.
        if (bytes.length < plain.length * 0.9) writeFileSync(`${dir}/${name}.${ending}`, bytes);
      }
    }
  },
};

/**
 * Has the browser ask for the font of the text, the first screen and the texts while it still reads the page.
 * The style of the first screen applies to every screen: browsers warn of a style that is only preloaded and then not used.
 */
const preloaded: Plugin = {
  name: "preloaded",
  apply: "build",
  transformIndexHtml: {
    order: "post",
    handler(_, { bundle }) {
      const early = [
        [/inter-latin-wght-normal.*\.woff2$/, { rel: "preload", as: "font", type: "font/woff2", crossorigin: true }],
        [/\/Tasks-.*\.js$/, { rel: "modulepreload", crossorigin: true }],
        [/\/Tasks-.*\.css$/, { rel: "stylesheet", crossorigin: true }],
        [/\/en-.*\.js$/, { rel: "modulepreload", crossorigin: true }],
      ] as const;
      return early.map(([pattern, attrs]) => {
        const file = Object.keys(bundle ?? {}).find((name) => pattern.test(name));
        if (file === undefined) throw new Error(`the page has no file ${pattern} to be asked for early`);
        return { tag: "link", attrs: { ...attrs, href: `/${file}` }, injectTo: "head" };
      });
    },
  },
};

/** Takes the texts apart here, once, and not in every browser. */
const compiledTexts: Plugin = {
  name: "compiled-texts",
  apply: "build",
  async transform(_, id) {
    const [, language] = /\/locales\/(?:parts\/\w+\.)?(\w+)\.ts$/.exec(id) ?? [];
    if (language === undefined) return null;
    const { module } = await runnerImport<Record<string, Record<string, string>>>(id, { configFile: false });
    const texts: Record<string, CompiledMessage> = {};
    for (const [name, text] of Object.entries(module[language] ?? {})) texts[name] = compileMessage(text);
    return `export const ${language} = ${JSON.stringify(texts)};`;
  },
};

export default defineConfig(({ command }) => ({
  define: { __PAGE_VERSION__: JSON.stringify(version), __TEXTS_ARE_COMPILED__: command === "build" },
  plugins: [react(), compiledTexts, preloaded, compressed],
  build: {
    // Small files are not put into others as data: addresses: the page's content policy allows only its own origin.
    assetsInlineLimit: 0,
    emptyOutDir: true,
    target: "es2022",
    // What two screens share is one file: on a first visit many small ones cost more than they hold. TOML is not for the first visit.
    rolldownOptions: { output: { codeSplitting: { groups: [{ name: "toml", test: /smol-toml/ }, { name: "shared", test: /node_modules|src\/(api|data|live|model|ui|i18n)/, minShareCount: 2 }] } } },
  },
  server: { proxy: { "/api": process.env["MONITOR_SERVER_URL"] ?? "http://127.0.0.1:60010" } },
  worker: { format: "es" },
  // Timings decide no test.
  test: { include: ["src/**/*.test.ts"], testTimeout: 60_000 },
}));
