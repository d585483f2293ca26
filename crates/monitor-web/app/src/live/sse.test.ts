import { expect, test } from "vitest";
import { EventParser, type ServerEvent } from "./sse.ts";

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
