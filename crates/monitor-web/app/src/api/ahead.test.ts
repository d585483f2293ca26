import { readFileSync } from "node:fs";
import { afterEach, expect, test, vi } from "vitest";
import { hourBefore } from "../model/causes.ts";

const script = readFileSync(new URL("../../public/ahead.js", import.meta.url), "utf8");

/** Returns the requests that `public/ahead.js` sends at an address before the page is loaded. */
function askedAt(pathname: string, search = ""): string[] {
  const asked: string[] = [];
  const location = { origin: "http://here", pathname, search };
  const document = { documentElement: { dataset: {} } };
  const fetch = (path: string) => {
    asked.push(path);
    return Promise.resolve("answer");
  };
  new Function("document", "localStorage", "location", "fetch", "globalThis", script)(document, { getItem: () => "dark" }, location, fetch, globalThis);
  return asked;
}

afterEach(() => {
  vi.resetModules();
  delete (globalThis as { ahead?: unknown }).ahead;
});

test("a tree and the whole list are read ahead, other screens and filtered lists are not", () => {
  expect(askedAt("/tasks/2106", "?tab=logs")).toEqual(["/api/v1/roots/2106/tree?limit=250"]);
  expect(askedAt("/tasks")).toEqual(["/api/v1/roots?limit=100", `/api/v1/stats/causes?from=${hourBefore(Date.now() * 1000, 24)}&limit=50`]);
  for (const [path, search] of [["/tasks", "?name=x"], ["/tasks/workers", ""], ["/tasks/batch", ""], ["/tasks/jobs", "?job=1"], ["/tasks/alerts", ""], ["/tasks/statistics", ""], ["/tasks/about", ""], ["/tasks/2106/x", ""], ["/", ""]]) expect(askedAt(path as string, search)).toEqual([]);
});

test("what was read ahead is taken once, and by the same request only", async () => {
  askedAt("/tasks/2106");
  const { takeAhead } = await import("./ahead.ts");
  const url = "http://here/api/v1/roots/2106/tree?limit=250";
  expect(takeAhead(new Request("http://here/api/v1/roots/2107/tree?limit=250"))).toBeUndefined();
  expect(takeAhead(new Request(url, { method: "DELETE" }))).toBeUndefined();
  expect(await takeAhead(new Request(url))).toBe("answer");
  expect(takeAhead(new Request(url))).toBeUndefined();
});
