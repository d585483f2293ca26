/** The catalogue holds the texts of the page and no others. */
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { en } from "./locales/en.ts";

const sources = readdirSync(new URL(".", import.meta.url), { recursive: true, encoding: "utf8" })
  .filter((file) => /\.tsx?$/.test(file) && !file.startsWith("locales"))
  .map((file) => readFileSync(new URL(file, import.meta.url), "utf8"))
  .join("\n");

test("every text is used", () => {
  const composed = [...sources.matchAll(/`([a-z.-]+\.)\$\{/g)].map(([, prefix = ""]) => prefix);
  const unused = Object.keys(en).filter((id) => !sources.includes(`"${id}"`) && !composed.some((prefix) => id.startsWith(prefix)));
  expect(unused).toEqual([]);
});
