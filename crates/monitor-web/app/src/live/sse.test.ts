import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { EventParser, readEvents, type ServerEvent } from "./sse.ts";

const text = 'retry: 1000\nid: 7\n: connected\n\nid: 8\r\nevent: process-started\r\ndata: {"a":\ndata: 1}\r\n\r\n: nothing new\n\n';
const events: ServerEvent[] = [
  { id: 7, type: "", data: "" },
  { id: 8, type: "process-started", data: '{"a":\n1}' },
];

test("events are read however the text is cut", () => {
  for (let cut = 0; cut <= text.length; cut += 1) {
    const parser = new EventParser();
    expect([...parser.push(text.slice(0, cut)), ...parser.push(text.slice(cut))]).toEqual(events);
  }
});

test("an event that is not over is not told", () => {
  expect(new EventParser().push("id: 1\ndata: x\n")).toEqual([]);
});

test.each([
  ["that never answers", () => undefined, 0],
  ["that falls silent after its answer", (answer: NodeJS.WritableStream) => void answer.write(": connected\n\n"), 1],
])("a server %s is left", async (_, begin, opened) => {
  const server: Server = createServer((_, answer) => begin(answer));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  let opens = 0;
  const reading = readEvents(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, new AbortController().signal, 2000, {
    open: () => (opens += 1),
    data: () => undefined,
  });
  await expect(reading).rejects.toThrow(/abort/);
  expect(opens).toBe(opened);
  server.closeAllConnections();
  server.close();
});
