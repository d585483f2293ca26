/** Report files: saves the server's output, for the browser to open from disk. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";
import { pathToFileURL } from "node:url";
import { newId, server, Tree } from "./events.mjs";

/** Creates a folder for the files of a test file. Returns a function that saves a run there, and returns the file's address. */
export function useReports() {
  let folder;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "monitor-report-"));
  });
  after(() => rm(folder, { recursive: true }));
  return async (rootId, query = {}) => {
    const answer = await fetch(`${server}/api/v1/roots/${rootId}/export?${new URLSearchParams({ format: "html", ...query })}`);
    const html = await answer.text();
    assert.equal(answer.status, 200, html.slice(0, 500));
    const path = join(folder, `${rootId}-${query.compare ?? ""}.html`);
    await writeFile(path, html);
    return pathToFileURL(path).href;
  };
}

const WORK = ["import", "parse", "validate", "convert", "upload", "index", "publish", "thumbnail of", "checksum of", "archive"];
const SOURCES = ["customers", "orders", "invoices", "stock", "prices", "returns", "suppliers", "visits"];

/**
 * A nightly import of `count` processes and its events: names with the files that they work on, fields, threads, uneven times, errors that differ and
 * lines of logs. The numbers come from a generator with a fixed seed.
 */
export function nightlyImport(count) {
  let seed = 20_261_127;
  const below = (limit) => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((seed / 2 ** 32) * limit);
  };
  const tree = new Tree(`nightly import ${newId()}`);
  const events = [tree.own];
  let logged = 0;
  const log = (...args) => {
    events.push(tree.log(...args));
    logged += 1;
  };
  let stage = tree.own;
  for (let at = 1; at < count; at += 1) {
    const ms = at * 3 + below(1000) / 1000;
    const file = `${SOURCES[below(SOURCES.length)]}-${String(below(500)).padStart(3, "0")}.csv`;
    if (at % 400 === 1) {
      if (stage !== tree.own) events.push(tree.end(stage, 1200));
      stage = tree.start(`stage ${Math.ceil(at / 400)}`, tree.id, ms);
      events.push(stage);
      continue;
    }
    const rows = below(90_000);
    const thread = `import-${below(16)}`;
    const fields = at % 2 === 0 ? { path: `/data/incoming/2026-11-27/${file}`, rows, attempt: 1 + below(3) } : {};
    const work = below(WORK.length);
    const name = at % 3 === 0 ? `${WORK[work]} ${file}` : WORK[work];
    const process = tree.start(name, stage.id, ms, { thread, fields, source: { file: `src/steps/step${work % 4}.rs`, line: 20 + 31 * work } });
    events.push(process);
    if (at % 5 === 0) log(process.id, ms + 1, "info", `read ${rows} rows of ${file} in ${below(90_000) / 100} ms`);
    if (at % 50 !== 0) {
      events.push(tree.end(process, 0.2 + below(40_000) / 1000));
      continue;
    }
    log(process.id, ms + 2, "warn", `row ${below(rows + 1)} of ${file} is not valid`, { fields: { column: below(40) } });
    events.push(tree.end(process, 5 + below(9000) / 1000, { message: `duplicate key (id)=(${below(1e9)}) in row ${below(rows + 1)} of ${file}`, chain: [`constraint "${SOURCES[below(8)]}_pkey" is violated`] }));
  }
  return { tree, events: [...events, tree.end(stage, 1200), tree.end(tree.own, count * 3 + 50)], logged };
}
