/** Starts a browser for the tests; any console error of a page fails the test. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { after, before } from "node:test";
import { chromium } from "playwright-core";
import { Worker } from "./events.mjs";

/** Maximum wait for one condition, in milliseconds: a busy machine may need minutes. */
const PATIENCE = 180_000;
/** Maximum number of characters from the beginning and from the end of a page that are printed when its test fails. */
const MOST_TOLD = 2000;

let browser;

function chromiumOfThisMachine() {
  // The first one, without windows, needs half of the time of the others.
  const names = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];
  const found = (process.env.PATH ?? "").split(delimiter).flatMap((folder) => names.map((name) => join(folder, name))).find(existsSync);
  assert.ok(found, "Chromium is not on the path; MONITOR_TEST_CHROMIUM can name it");
  return found;
}

/** Launches a headless browser. */
export function launch() {
  return chromium.launch({
    executablePath: process.env.MONITOR_TEST_CHROMIUM ?? chromiumOfThisMachine(),
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** Starts one browser for the tests of a file. */
export function useBrowser() {
  before(async () => {
    browser = await launch();
  });
  after(() => browser?.close());
}

/** Keeps one worker online for the tests of a file. */
export function useWorker() {
  const worker = new Worker();
  before(() => worker.online());
  return worker;
}

/** Returns the row of a run in the list. */
export const row = (page, tree) => page.locator(`.root[data-root="${tree.rootId}"]`);

/** Opens `address`, runs `test` on the page and checks for errors; `expected` matches errors that are part of the test. */
export async function onPage(address, test, { expected, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 820 }, locale: "en-US", ...options });
  const page = await context.newPage();
  const errors = [];
  const note = (text) => expected?.test(text) || errors.push(text);
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && note(message.text()));
  page.on("pageerror", (error) => note(error.message));
  page.on("dialog", (dialog) => {
    errors.push(`a dialog opened: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.setDefaultTimeout(PATIENCE);
  try {
    await page.goto(address);
    await test(page, context);
    assert.deepEqual(errors, []);
  } catch (error) {
    await tellShown(page, errors);
    throw error;
  } finally {
    // A handler may still process a request that was abandoned.
    await page.unrouteAll({ behavior: "ignoreErrors" });
    await context.close();
  }
}

/** Prints the page's text when its test fails, for debugging. */
async function tellShown(page, errors) {
  const shown = await page.evaluate(() => document.body.innerText).catch((error) => `nothing can be read: ${error.message}`);
  const told = shown.length <= 2 * MOST_TOLD ? shown : `${shown.slice(0, MOST_TOLD)}\n[…]\n${shown.slice(-MOST_TOLD)}`;
  console.log(`${page.url()} shows:\n${told}\nerrors: ${JSON.stringify(errors)}`);
}

/** Waits until a locator's text equals or matches `expected`. */
export async function hasText(locator, expected) {
  const is = (text) => (expected instanceof RegExp ? expected.test(text) : text === expected);
  let text;
  const deadline = Date.now() + PATIENCE;
  do {
    text = (await locator.first().textContent()).replaceAll("\u2009", " ").trim();
    if (is(text)) return;
    await locator.page().waitForFunction(() => new Promise(requestAnimationFrame));
  } while (Date.now() < deadline);
  assert.fail(`expected ${expected}, found ${JSON.stringify(text)}`);
}

/** Waits until the address of the page matches. */
export function hasAddress(page, expected) {
  return page.waitForURL((url) => expected.test(url.href));
}
