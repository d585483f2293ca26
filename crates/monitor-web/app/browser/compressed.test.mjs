/** Compression of transferred files: scripts and styles are compressed if the browser supports it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { onPage, useBrowser, useWorker } from "./browser.mjs";
import { server, Tree } from "./events.mjs";

useBrowser();
const worker = useWorker();

test("a browser gets all scripts and styles compressed", async () => {
  const tree = new Tree("compressed");
  await worker.send(tree.own, tree.end(tree.own, 5));
  await onPage("about:blank", async (page) => {
    const answers = [];
    page.on("response", (response) => ["script", "stylesheet"].includes(response.request().resourceType()) && answers.push(response));
    await page.goto(`${server}/tasks`);
    // All screens are loaded when the browser is idle; each has a script of its own.
    const names = () => page.evaluate(() => performance.getEntriesByType("resource").map(({ name }) => name).filter((name) => /\.(js|css)$/.test(name)));
    await page.waitForFunction((wanted) => wanted.every((screen) => performance.getEntriesByType("resource").some(({ name }) => name.includes(`/${screen}-`))), ["Tasks", "RootPage", "Statistics", "Workers", "About"]);
    for (const tab of ["timeline", "logs", "compare"]) await page.goto(`${tree.address}?tab=${tab}`);
    await page.waitForFunction(() => performance.getEntriesByType("resource").some(({ name }) => /\.css$/.test(name)));
    const seen = new Set([...(await names()), ...answers.map((answer) => answer.url())]);
    assert.ok([...seen].some((name) => name.endsWith(".css")) && seen.size > 8, [...seen].join());

    const plain = [];
    for (const answer of answers) {
      const headers = await answer.allHeaders();
      // Cached responses were checked before.
      if (answer.status() === 200 && !(await isSmall(answer.url())) && !/^(br|gzip|zstd)$/.test(headers["content-encoding"] ?? "")) plain.push(answer.url());
    }
    assert.deepEqual(plain, []);

    // Check all files that these files import as well, with the encodings that all browsers support.
    for (const name of seen) {
      const script = await (await fetch(name)).text();
      for (const [, file] of script.matchAll(/(?:assets\/|\.\/)([\w.-]+\.(?:js|css))/g)) seen.add(new URL(`/assets/${file}`, server).href);
    }
    for (const name of seen) {
      const answer = await fetch(name, { headers: { "accept-encoding": "gzip, deflate" } });
      if (!(await isSmall(name)) && answer.headers.get("content-encoding") !== "gzip") plain.push(name);
    }
    assert.deepEqual(plain, []);
  });
});

/** Returns true if compression hardly reduces a file's size, so that it is sent uncompressed. */
async function isSmall(name) {
  const bytes = new Uint8Array(await (await fetch(name, { headers: { "accept-encoding": "identity" } })).arrayBuffer());
  return gzipSync(bytes, { level: 9 }).length >= bytes.length * 0.9;
}
