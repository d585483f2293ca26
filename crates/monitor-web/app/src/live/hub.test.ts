import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { process, root } from "../model/samples.ts";
import { Hub, type OpenStream } from "./hub.ts";
import type { FromPage, Interest, ToPage, Wanted } from "./messages.ts";
import { queryOf } from "./open.ts";
import type { ServerEvent } from "./sse.ts";

/** A simulated stream that the test feeds and interrupts. */
class Server {
  readonly opened: number[] = [];
  readonly wanted: Wanted[] = [];
  private on: Parameters<OpenStream>[4] | undefined;
  private end: ((reason?: unknown) => void) | undefined;

  readonly open: OpenStream = (after, wanted, signal, _silence, on) => {
    this.opened.push(after);
    this.wanted.push(wanted);
    signal.addEventListener("abort", () => this.end?.(signal.reason));
    this.on = on;
    on.open();
    return new Promise((_resolve, reject) => {
      this.end = reject;
    });
  };

  send(...events: ServerEvent[]): void {
    this.on?.data(events);
  }

  /** Returns the event handler of the open stream. */
  handler(): Parameters<OpenStream>[4] | undefined {
    return this.on;
  }

  break(): void {
    this.end?.(new Error("gone"));
  }
}

function change(id: number, models: object, type = "process-started"): ServerEvent {
  return { id, type, data: JSON.stringify({ event: { type }, root: null, process: null, worker: null, ...models }) };
}

function page(hub: Hub, interest: Interest) {
  const got: ToPage[] = [];
  const send: (message: FromPage) => void = hub.attach((message) => got.push(message));
  send({ type: "watch", interest });
  return { got, send, batches: () => got.flatMap((message) => (message.type === "batch" ? [message.batch] : [])) };
}

const LIST: Interest = { models: ["root", "worker"] };
const ofTree = (tree: string): Interest => ({ models: ["root", "process", "log"], tree });

const connectionStates = (got: ToPage[]) =>
  got.flatMap((message) => (message.type === "connection" ? [message.connection.state] : []));

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test("the stream begins where the first page had loaded", () => {
  const server = new Server();
  const { send } = page(new Hub(server.open), LIST);
  expect(server.opened).toEqual([]);
  send({ type: "loaded", asOf: 41 });
  send({ type: "loaded", asOf: 45 });
  expect(server.opened).toEqual([41]);
});

test("of many changes only the newest of each is handed on, to those whom it concerns", () => {
  const server = new Server();
  const hub = new Hub(server.open);
  const list = page(hub, LIST);
  const mine = root(1);
  const tree = page(hub, ofTree(mine.root_id));
  list.send({ type: "loaded", asOf: 1 });
  tree.send({ type: "loaded", asOf: 1 });
  const other = root(2);
  server.send(change(2, { root: mine, process: process("a", null, 1) }), change(3, { root: other }));
  server.send(change(4, { root: mine, process: process("a", null, 1, { state: "failed" }) }));
  vi.advanceTimersByTime(20);
  expect(list.batches()).toEqual([{ models: { root: [{ asOf: 4, model: mine }, { asOf: 3, model: other }] }, dropped: [] }]);
  expect(tree.batches()).toMatchObject([{ models: { root: [{ asOf: 4 }], process: [{ asOf: 4, model: { state: "failed" } }] } }]);
});

test("what is said is handed on line by line, to the tree that it was said in", () => {
  const server = new Server();
  const hub = new Hub(server.open);
  const mine = root(1);
  const list = page(hub, LIST);
  const tree = page(hub, ofTree(mine.root_id));
  list.send({ type: "loaded", asOf: 1 });
  tree.send({ type: "loaded", asOf: 1 });
  const line = (number: number) => ({ process_id: "a", time_us: number, level: "info", message: "x", target: null, stream: null, fields: {}, worker_id: "w", number });
  const said = (id: number, rootId: string) => ({ id, type: "process-logged", data: JSON.stringify({ event: { type: "process-logged", root_id: rootId }, log: line(id) }) });
  server.send(said(2, mine.root_id), said(3, root(2).root_id), said(4, mine.root_id));
  vi.advanceTimersByTime(20);
  server.send(said(5, mine.root_id));
  vi.advanceTimersByTime(20);
  expect(tree.batches().map(({ models }) => models.log?.map(({ model }) => model.number))).toEqual([[2, 4], [5]]);
  expect(list.batches()).toEqual([]);
});

test("a break is told, and resumed after the last number", async () => {
  const server = new Server();
  const { got, send } = page(new Hub(server.open), LIST);
  send({ type: "loaded", asOf: 5 });
  server.send(change(6, { root: root(1) }), { id: 9, type: "", data: "" });
  server.break();
  await vi.advanceTimersByTimeAsync(1000);
  expect(server.opened).toEqual([5, 9]);
  await vi.advanceTimersByTimeAsync(1000);
  expect(connectionStates(got)).toEqual(["connecting", "live", "broken", "catching-up", "live"]);
});

test("who is told to load anew: all on a reset, and a page that loaded before the stream began", () => {
  const server = new Server();
  const hub = new Hub(server.open);
  const first = page(hub, LIST);
  const late = page(hub, LIST);
  first.send({ type: "loaded", asOf: 10 });
  late.send({ type: "loaded", asOf: 10 });
  expect(late.got.some(({ type }) => type === "reset")).toBe(false);
  const later = page(hub, LIST);
  later.send({ type: "loaded", asOf: 8 });
  expect(later.got.some(({ type }) => type === "reset")).toBe(true);
  server.send({ id: 99, type: "reset", data: '{"as_of":99}' });
  expect(first.got.some(({ type }) => type === "reset")).toBe(true);
});

test("a tree that changed as a whole with its worker is loaded anew, others are not", () => {
  const server = new Server();
  const hub = new Hub(server.open);
  const mine = page(hub, ofTree(root(1).root_id));
  const other = page(hub, ofTree(root(2).root_id));
  mine.send({ type: "loaded", asOf: 1 });
  other.send({ type: "loaded", asOf: 1 });
  server.send(change(2, { root: root(1), process: process("a", null, 1, { state: "lost" }) }, "worker-lost"));
  expect(mine.got.some(({ type }) => type === "reset")).toBe(false);
  server.send(change(3, { root: root(1) }, "worker-lost"));
  expect(mine.got.some(({ type }) => type === "reset")).toBe(true);
  expect(other.got.some(({ type }) => type === "reset")).toBe(false);
});

test("roots that are dropped are told by their numbers, and nothing of them after that", () => {
  const server = new Server();
  const list = page(new Hub(server.open), LIST);
  list.send({ type: "loaded", asOf: 1 });
  server.send(change(2, { root: root(7) }), change(3, { root: root(8) }), { id: 4, type: "roots-dropped", data: JSON.stringify({ event: { type: "roots-dropped", numbers: [7, 9] } }) });
  vi.advanceTimersByTime(20);
  expect(list.batches()).toMatchObject([{ models: { root: [{ model: { number: 8 } }] }, dropped: [7, 9] }]);
});

test("without pages there is no stream, and a new page begins anew", async () => {
  const server = new Server();
  const hub = new Hub(server.open);
  const first = page(hub, LIST);
  first.send({ type: "loaded", asOf: 10 });
  first.send({ type: "bye" });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(server.opened).toEqual([10]);
  page(hub, LIST).send({ type: "loaded", asOf: 20 });
  expect(server.opened).toEqual([10, 20]);
});

test("the server is asked for the roots and the trees that are looked at, and no more", async () => {
  const server = new Server();
  const hub = new Hub(server.open);
  const list = page(hub, LIST);
  list.send({ type: "loaded", asOf: 1 });
  const [mine, other] = [root(1).root_id, root(2).root_id];
  server.send(change(7, { root: root(1) }));
  const tree = page(hub, ofTree(mine));
  // The stream continues at the current number: no event is missed, and no interruption is reported.
  await vi.advanceTimersByTimeAsync(0);
  expect(server.opened).toEqual([1, 7]);
  server.send(change(8, { root: root(1), process: process("a", null, 1) }));
  // A subscription to another tree takes effect at once; an unneeded subscription is removed after a delay.
  tree.send({ type: "bye" });
  const next = page(hub, ofTree(other));
  await vi.advanceTimersByTimeAsync(5000);
  next.send({ type: "bye" });
  await vi.advanceTimersByTimeAsync(5000);
  expect(server.wanted.map(queryOf)).toEqual(["&subject=roots", `&subject=roots&root=${mine}`, `&subject=roots&root=${other}`, "&subject=roots"]);
  expect(server.opened).toEqual([1, 7, 8, 8]);
  expect(connectionStates(list.got)).toEqual(["connecting", "live"]);
  // More trees than the server accepts: all events are requested.
  expect(queryOf({ subjects: ["roots"], trees: Array.from({ length: 101 }, (_, n) => root(n + 1).root_id) })).toBe("");
});

test("what an aborted stream still hands on is not taken: the next one tells it again", async () => {
  const server = new Server();
  const hub = new Hub(server.open);
  const list = page(hub, LIST);
  list.send({ type: "loaded", asOf: 1 });
  const late = server.handler();
  page(hub, ofTree(root(1).root_id));
  late?.data([change(2, { root: root(1), process: process("a", null, 1) })]);
  await vi.advanceTimersByTimeAsync(0);
  expect(server.opened).toEqual([1, 1]);
});

test("how many alerts fire is told to all, also to who comes later, and moves the stream no further", () => {
  const server = new Server();
  const hub = new Hub(server.open);
  const first = page(hub, LIST);
  first.send({ type: "loaded", asOf: 41 });
  const alerts = (got: ToPage[]) => got.flatMap((message) => (message.type === "alerts" ? [message.alerts] : []));
  server.send({ id: null, type: "alerts", data: '{"firing":2,"newest":7}' });
  const second = page(hub, LIST);
  server.send({ id: null, type: "alerts", data: '{"firing":1,"newest":6}' });
  expect(alerts(first.got)).toEqual([{ firing: 2, newest: 7 }, { firing: 1, newest: 6 }]);
  expect(alerts(second.got)).toEqual([{ firing: 2, newest: 7 }, { firing: 1, newest: 6 }]);
  server.break();
  return vi.advanceTimersByTimeAsync(1000).then(() => expect(server.opened).toEqual([41, 41]));
});

test("what an event tells of a batch task or an agent is told by its name", () => {
  const server = new Server();
  const hub = new Hub(server.open);
  const list = page(hub, { models: ["root", "batch"] });
  const other = page(hub, LIST);
  list.send({ type: "loaded", asOf: 1 });
  const event = (id: number, event: { type: string; task?: string; agent?: string }) => server.send({ id, type: event.type, data: JSON.stringify({ event, root: null, process: null, worker: null }) });
  event(2, { type: "agent-decided", agent: "db-1" });
  event(3, { type: "run-missed", task: "gold", agent: "db-1" });
  event(4, { type: "batch-task-changed", task: "gold" });
  event(5, { type: "worker-online", agent: "db-1" });
  vi.advanceTimersByTime(20);
  expect(list.batches()).toEqual([{ models: { batch: [{ asOf: 2, model: "db-1" }, { asOf: 4, model: "gold" }] }, dropped: [] }]);
  expect(other.batches()).toEqual([]);
});
