import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { LogLine, LogsPage } from "../../../api/types.ts";
import type { RootView } from "../view.ts";

vi.mock("../../../api/client.ts", () => ({ fetchLogs: vi.fn() }));
const { fetchLogs } = await import("../../../api/client.ts");
const { LogFeed } = await import("./feed.ts");

const line = (number: number): LogLine => ({ process_id: "a", time_us: number, level: "info", message: `line ${number}`, target: null, stream: null, fields: {}, worker_id: "w", number });
const page = (from: number, to: number, next: string | null): LogsPage => ({ logs: Array.from({ length: to - from + 1 }, (_, index) => line(to - index)), missing: 0, next_cursor: next, as_of: 1 });

beforeEach(() => {
  vi.stubGlobal("requestAnimationFrame", () => 0);
  vi.stubGlobal("cancelAnimationFrame", () => undefined);
});
afterEach(() => vi.unstubAllGlobals());

test("after something was missed there is no hole between what is known and what is read", async () => {
  const view = { param: "1", logListeners: new Set<(lines: readonly LogLine[] | null) => void>() };
  vi.mocked(fetchLogs).mockResolvedValueOnce(page(1, 5, null)).mockResolvedValueOnce(page(901, 905, "older"));
  const feed = new LogFeed(view as unknown as RootView, {});
  const end = feed.subscribe(() => undefined);
  const tell = (lines: readonly LogLine[] | null) => view.logListeners.forEach((listener) => listener(lines));
  await vi.waitFor(() => expect(feed.loading).toBe(false));
  tell([line(6)]);
  tell(null);
  await vi.waitFor(() => expect(feed.loading).toBe(false));
  expect(feed.lines.all.map(({ number }) => number)).toEqual([901, 902, 903, 904, 905]);
  expect(feed.hasOlder).toBe(true);
  end();
});
