/** Runs as files: saves what the server writes, for the browser to open from disk. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";
import { pathToFileURL } from "node:url";
import { server } from "./events.mjs";

/** A folder for the files of a test file. Returns what saves a run there, and answers with the file's address. */
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
