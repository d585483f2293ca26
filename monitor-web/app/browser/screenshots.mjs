/**
 * Pictures of every screen: `npm run screenshots -- FOLDER` makes one for each language, theme and width.
 * `npm run screenshots -- --docs FOLDER` makes those of the docs, in English and Chinese.
 * `npm run screenshots -- ADDRESS FILE` makes one of an address, as large as those in the docs.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { launch } from "./browser.mjs";
import { inEnglish, screens } from "./screens.mjs";

const [what = "screenshots", file] = process.argv.slice(2);
const looks = [
  { look: "wide-light-en", viewport: { width: 1440, height: 820 }, colorScheme: "light", locale: "en-US" },
  { look: "wide-dark-zh", viewport: { width: 1440, height: 820 }, colorScheme: "dark", locale: "zh-CN" },
  { look: "phone-light-zh", viewport: { width: 360, height: 740 }, colorScheme: "light", locale: "zh-CN" },
  { look: "phone-dark-en", viewport: { width: 360, height: 740 }, colorScheme: "dark", locale: "en-US" },
];

const browser = await launch();

async function picture(path, address, options, ready, act) {
  const context = await browser.newContext({ ...options, reducedMotion: "reduce", timezoneId: "Europe/Berlin" });
  const page = await context.newPage();
  await page.goto(address);
  await page.locator('.connection[data-connection="live"]').waitFor();
  await page.locator(ready).first().waitFor();
  await page.locator(".split .notice").waitFor({ state: "detached" });
  await act?.(page);
  await page.screenshot({ path });
  await context.close();
}

if (what === "--docs") {
  const inDocs = ["tasks by name", "tree", "timeline by thread", "compare", "statistics", "logs"];
  await mkdir(file, { recursive: true });
  for (const { language, locale, say } of [
    { language: "en", locale: "en-US", say: inEnglish },
    { language: "zh", locale: "zh-CN", say: undefined },
  ]) {
    for (const { name, address, ready, act } of await screens(say)) {
      if (!inDocs.includes(name)) continue;
      await picture(join(file, `${name.replaceAll(" ", "-")}-${language}.png`), address, { viewport: { width: 1280, height: 640 }, colorScheme: "light", locale }, ready, act);
    }
  }
} else if (file !== undefined) {
  await picture(file, what, { viewport: { width: 1280, height: 720 }, colorScheme: "light", locale: "en-US" }, ".panel h2, .root[data-root], .about dl");
} else {
  await mkdir(what, { recursive: true });
  for (const { name, address, ready, act } of await screens()) {
    for (const { look, ...options } of looks) {
      await picture(join(what, `${name.replaceAll(" ", "-")}-${look}.png`), address, options, ready, act);
    }
  }
}
await browser.close();
