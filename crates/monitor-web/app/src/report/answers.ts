/** Answers the requests that the screen of a run makes, from the blocks of a file. */
import type { LogLine, LogsPage, ProcessDetail, Root, RootPage, TreePage, Worker, WorkerPage } from "../api/types.ts";
import { ColumnReader, type Head } from "../model/columns.ts";
import { type LogFilter, matchesLog } from "../model/logs.ts";
import type { File } from "./file.ts";
import { linesOf, unpacked } from "./unpack.ts";

/** The default limit of the server. */
const LIMIT = 50;

/** Answers requests of the HTTP API, with 404 for everything that isn't in the file. */
export function answers(file: File, textOf: (block: string) => string): (request: Request) => Promise<Response> {
  const read = once((block) => all<LogLine>(linesOf(textOf(block))));
  const head = once((block) => headOf(textOf(block)));
  const workers = once((block) => whole<Worker[]>(textOf(block)));
  const placeOf = (root: string) => file.runs.findIndex(({ root_id }) => root_id === root);

  async function tree(place: number): Promise<TreePage> {
    const { root, ignored_parents, deep_parents, dropped, as_of } = await head(`tree-${place}`);
    // All processes are sent in columns.
    return { root, ignored_parents, deep_parents, dropped, as_of, processes: [], next_cursor: "columns" };
  }

  async function roots(query: URLSearchParams): Promise<RootPage> {
    const found: Root[] = [];
    // The runs of a file are meant to be compared, so the name filter is ignored.
    for (const place of file.runs.keys()) found.push((await head(`tree-${place}`)).root);
    const [state, before] = [query.get("state"), query.get("started_before")];
    const passes = (root: Root) => (state === null || state.split(",").includes(root.state)) && (before === null || (root.started_us ?? Infinity) < Number(before));
    return { roots: found.filter(passes).slice(0, Number(query.get("limit") ?? LIMIT)), next_cursor: null, as_of: 0 };
  }

  async function logs(place: number, process: string | undefined, query: URLSearchParams): Promise<LogsPage> {
    const filter: LogFilter = { process, level: (query.get("level") ?? undefined) as LogFilter["level"], q: query.get("q") ?? undefined };
    const lines = (await read(`logs-${place}`)).filter((line) => matchesLog(filter, line));
    if (query.get("order") === "newest") lines.reverse();
    const [from, limit] = [Number(query.get("cursor") ?? 0), Number(query.get("limit") ?? LIMIT)];
    const to = from + limit;
    const missing = process === undefined ? (file.runs[place]?.omitted_lines ?? 0) : 0;
    return { logs: lines.slice(from, to), next_cursor: to < lines.length ? String(to) : null, missing, as_of: 0 };
  }

  return async ({ url }) => {
    const { pathname, searchParams } = new URL(url);
    const [kind = "", id = "", part = "", process = "", logsOf = ""] = pathname.split("/").slice(3).map(decodeURIComponent);
    const place = kind === "roots" ? placeOf(id) : -1;
    if (kind === "roots" && id === "") return json(await roots(searchParams));
    if (place >= 0 && part === "tree") return json(await tree(place));
    if (place >= 0 && part === "logs") return json(await logs(place, undefined, searchParams));
    if (place >= 0 && part === "processes" && logsOf === "logs") return json(await logs(place, process, searchParams));
    // Links from other trees are not in the file.
    if (place >= 0 && part === "processes" && logsOf === "") return json({ linked_from: { count: 0, links: [] } } satisfies ProcessDetail);
    if (kind === "workers" && id === "") return json({ workers: await workers("workers"), next_cursor: null, as_of: 0 } satisfies WorkerPage);
    return json({ status: 404, title: "Not Found", detail: `${pathname} is not in this file` }, 404);
  };
}

function json(body: object, status = 200): Response {
  return new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } });
}

/** Reads each block once. */
function once<Content>(read: (block: string) => Promise<Content>): (block: string) => Promise<Content> {
  const known = new Map<string, Promise<Content>>();
  return (block) => {
    const content = known.get(block) ?? read(block);
    known.set(block, content);
    return content;
  };
}

async function all<Value>(values: AsyncIterable<unknown>): Promise<Value[]> {
  const found: Value[] = [];
  for await (const value of values) found.push(value as Value);
  return found;
}

async function whole<Value>(base64: string): Promise<Value> {
  const pieces = await all<Uint8Array<ArrayBuffer>>(unpacked(base64));
  return JSON.parse(await new Blob(pieces).text()) as Value;
}

/** The first part of a tree in columns. */
async function headOf(base64: string): Promise<Head> {
  const columns = new ColumnReader();
  for await (const piece of unpacked(base64)) {
    for (const part of columns.push(piece)) if (part.kind === "head") return part.head;
  }
  throw new Error("the file has no such tree");
}
