/** Pictures of every screen: `npm run screenshots -- FOLDER` makes one for each language, theme and width. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { launch } from "./browser.mjs";
import { screens } from "./screens.mjs";

const folder = process.argv[2] ?? "screenshots";
const looks = [
  { look: "wide-light-en", viewport: { width: 1440, height: 820 }, colorScheme: "light", locale: "en-US" },
  { look: "wide-dark-zh", viewport: { width: 1440, height: 820 }, colorScheme: "dark", locale: "zh-CN" },
  { look: "phone-light-zh", viewport: { width: 360, height: 740 }, colorScheme: "light", locale: "zh-CN" },
  { look: "phone-dark-en", viewport: { width: 360, height: 740 }, colorScheme: "dark", locale: "en-US" },
];

await mkdir(folder, { recursive: true });
const browser = await launch();
for (const { name, address, ready, act } of await screens()) {
  for (const { look, ...options } of looks) {
    const context = await browser.newContext({ ...options, reducedMotion: "reduce", timezoneId: "Europe/Berlin" });
    const page = await context.newPage();
    await page.goto(address);
    await page.locator(ready).first().waitFor();
    await act?.(page);
    await page.screenshot({ path: join(folder, `${name.replaceAll(" ", "-")}-${look}.png`) });
    await context.close();
  }
}
await browser.close();
