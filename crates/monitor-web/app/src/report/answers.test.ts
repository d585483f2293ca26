import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import type { LogsPage, RootPage, TreePage, WorkerPage } from "../api/types.ts";
import { answers } from "./answers.ts";
import type { File } from "./file.ts";

const RUNS = ["a", "b"].map((letter) => letter.repeat(32));
const file: File = { version: "0.1.0", written_us: 5e6, runs: RUNS.map((root_id, at) => ({ root_id, omitted_lines: 7 * at })), is_comparison: true, redacted: [] };

function packed(bytes: string | Uint8Array): string {
  return gzipSync(bytes).toString("base64");
}

/** A part of a tree in columns. */
function part(kind: number, content: string): Buffer {
  const bytes = Buffer.from(content);
  const filled = Buffer.concat([bytes, Buffer.alloc(-bytes.length & 7, " ")]);
  const head = Buffer.alloc(8);
  head.writeUInt32LE(kind, 0);
  head.writeUInt32LE(filled.length, 4);
  return Buffer.concat([head, filled]);
}

function tree(root_id: string, state: string, started_us: number): string {
  const head = { root: { root_id, name: "run", state, started_us }, ignored_parents: 0, deep_parents: 0, dropped: [], as_of: 9, count: 0 };
  return packed(Buffer.concat([Buffer.from("PMTREE01"), part(1, JSON.stringify(head)), part(0, "")]));
}

const SAID = [
  ["p1", "info", "read </script>\u2028 1", { place: "Zürich" }],
  ["p2", "error", "no such table", {}],
  ["p1", "own", "of another level", {}],
  ["p1", "debug", "READ 2", {}],
] as const;
const lines = SAID.map(([process_id, level, message, fields], number) => ({ process_id, level, message, fields, number, time_us: number, target: "importer", stream: null, worker_id: "w" }));
const blocks: Readonly<Record<string, string>> = {
  workers: packed(JSON.stringify([{ id: "w", hostname: "<b>host" }])),
  "tree-0": tree(RUNS[0] as string, "failed", 20),
  "tree-1": tree(RUNS[1] as string, "succeeded", 10),
  "logs-0": packed(lines.map((line) => JSON.stringify(line)).join("\n")),
  "logs-1": packed(""),
};
const ask = answers(file, (block) => blocks[block] ?? "");

async function get<Body>(path: string): Promise<Body> {
  const answer = await ask(new Request(`http://file.invalid/api/v1/${path}`));
  expect(answer.status, path).toBe(200);
  return (await answer.json()) as Body;
}

async function numbers(query: string): Promise<number[]> {
  return (await get<LogsPage>(`roots/${RUNS[0]}/${query}`)).logs.map(({ number }) => number);
}

test("a tree begins with what columns bring, for both runs", async () => {
  for (const [at, id] of RUNS.entries()) {
    const page = await get<TreePage>(`roots/${id}/tree?limit=250`);
    expect([page.root.root_id, page.root.state, page.as_of, page.processes, page.next_cursor]).toEqual([id, ["failed", "succeeded"][at], 9, [], "columns"]);
  }
});

test("runs are those of the file, narrowed by state and start", async () => {
  const ids = async (query: string) => (await get<RootPage>(`roots?${query}`)).roots.map(({ root_id }) => root_id);
  expect(await ids("name=whatever")).toEqual(RUNS);
  expect(await ids("state=succeeded&limit=2&started_before=20")).toEqual([RUNS[1]]);
  expect(await ids("state=succeeded&started_before=10")).toEqual([]);
  expect(await ids("limit=1")).toEqual([RUNS[0]]);
});

test("lines are chosen by process, level and text, as the server does", async () => {
  expect(await numbers("logs")).toEqual([0, 1, 2, 3]);
  expect(await numbers("logs?order=newest")).toEqual([3, 2, 1, 0]);
  expect(await numbers("processes/p1/logs")).toEqual([0, 2, 3]);
  expect(await numbers("logs?level=info")).toEqual([0, 1, 2]);
  expect(await numbers("logs?level=error")).toEqual([1, 2]);
  expect(await numbers("logs?q=read")).toEqual([0, 3]);
  expect(await numbers("logs?q=z%C3%9Crich")).toEqual([0]);
  expect(await numbers("logs?q=IMPORTER&level=error&order=newest")).toEqual([2, 1]);
  expect(await numbers("logs?q=nothing")).toEqual([]);
});

test("pages of lines follow one another by their cursors", async () => {
  const found: number[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const page: LogsPage = await get(`roots/${RUNS[0]}/logs?order=newest&limit=2${cursor && `&cursor=${cursor}`}`);
    expect(page.logs.length).toBe(2);
    found.push(...page.logs.map(({ number }) => number));
    cursor = page.next_cursor ?? null;
  }
  expect(found).toEqual([3, 2, 1, 0]);
});

test("lines that were left out are missing, and a run without lines has none", async () => {
  const page = await get<LogsPage>(`roots/${RUNS[1]}/logs`);
  expect([page.logs, page.missing, page.next_cursor]).toEqual([[], 7, null]);
});

test("workers are all that the file has, and nothing leads to a process from elsewhere", async () => {
  expect((await get<WorkerPage>("workers?limit=1000")).workers.map(({ hostname }) => hostname)).toEqual(["<b>host"]);
  expect(await get(`roots/${RUNS[0]}/processes/p1`)).toEqual({ linked_from: { count: 0, links: [] } });
});

test("anything else is not in the file", async () => {
  for (const path of [`roots/${"c".repeat(32)}/tree`, `roots/${RUNS[0]}/export`, "workers/w", "status", "stats", "doctor"]) {
    const answer = await ask(new Request(`http://file.invalid/api/v1/${path}`));
    expect(answer.status, path).toBe(404);
    expect(await answer.json()).toMatchObject({ detail: `/api/v1/${path} is not in this file` });
  }
});
