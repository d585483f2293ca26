/** Simulates a page that is open for a day with ten events a second, and checks that its memory use does not grow. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test, vi } from "vitest";
import { Tree } from "../model/tree.ts";
import { process as sample, root } from "../model/samples.ts";
import { Hub, type OpenStream } from "./hub.ts";
import { EventParser } from "./sse.ts";

/** `cargo xtask soak` simulates the whole day. */
const EVENTS = process.env["MONITOR_SOAK"] === undefined ? 100_000 : 1_000_000;
const PROCESSES = 500;

setFlagsFromString("--expose_gc");
const collect = runInNewContext("gc") as () => void;

test("a day of events leaves no more behind than the first few", { timeout: 300_000 }, () => {
  vi.useFakeTimers();
  let feed: (text: string) => void = () => undefined;
  const parser = new EventParser();
  const open: OpenStream = (_after, _wanted, _signal, _silence, on) => {
    on.open();
    feed = (text) => on.data(parser.push(text));
    return new Promise(() => undefined);
  };
  const hub = new Hub(open);
  const tree = new Tree();
  const mine = root(1);
  let batches = 0;
  const take = hub.attach((message) => {
    if (message.type !== "batch") return;
    batches += 1;
    for (const { model, asOf } of message.batch.models.process ?? []) tree.put(model, asOf);
  });
  take({ type: "watch", interest: { models: ["root", "process"], tree: mine.root_id } });
  take({ type: "loaded", asOf: 1 });

  const parts = Array.from({ length: PROCESSES }, (_, index) => {
    const id = (index + 1).toString(16).padStart(16, "0");
    const error = index % 7 === 0 ? { kind: "error", message: `row ${index} is bad` } : null;
    const one = sample(id, index === 0 ? null : "0000000000000001", index, { root_id: mine.root_id, name: `step ${index % 20}`, state: error ? "failed" : "running", error });
    return `data: ${JSON.stringify({ event: { type: "process-updated", root_id: mine.root_id }, process: one })}\n\n`;
  });
  const heap = () => {
    collect();
    return process.memoryUsage().heapUsed / 1e6;
  };
  let early = 0;
  for (let event = 0; event < EVENTS; ) {
    let text = "";
    for (let part = 0; part < PROCESSES; part += 1, event += 1) text += `id: ${event + 2}\nevent: process-updated\n${parts[part]}`;
    feed(text);
    vi.advanceTimersByTime(20);
    if (event === 20_000) early = heap();
  }
  vi.useRealTimers();
  expect(tree.size).toBe(PROCESSES);
  expect(batches).toBe(EVENTS / PROCESSES);
  expect(heap() - early).toBeLessThan(3);
});
