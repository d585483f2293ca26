import { readFileSync } from "node:fs";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const { version } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8")) as { version: string };

export default defineConfig({
  define: { __PAGE_VERSION__: JSON.stringify(version) },
  plugins: [react()],
  build: {
    // Small files are not put into others as data: addresses: the page's content policy allows only its own origin.
    assetsInlineLimit: 0,
    emptyOutDir: true,
    target: "es2022",
    // What two screens share is one file: on a first visit many small ones cost more than they hold.
    rolldownOptions: { output: { codeSplitting: { groups: [{ name: "shared", test: /node_modules|src\/(api|data|live|model|ui|i18n)/, minShareCount: 2 }] } } },
  },
  server: { proxy: { "/api": process.env["MONITOR_SERVER_URL"] ?? "http://127.0.0.1:60010" } },
  worker: { format: "es" },
  // Timings decide no test.
  test: { include: ["src/**/*.test.ts"], testTimeout: 60_000 },
});
