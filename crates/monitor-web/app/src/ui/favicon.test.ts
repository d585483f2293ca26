import { expect, test } from "vitest";
import { faviconOf } from "./favicon.ts";

test("states differ by more than colour, and progress is a ring", () => {
  const shapes = ["running", "succeeded", "failed", "lost", "cancelled"].map((state) => decodeURIComponent(faviconOf(state, 0.5)).replace(/#[0-9a-f]{6}/g, ""));
  expect(new Set(shapes).size).toBe(shapes.length);
  expect(decodeURIComponent(faviconOf("running", 0.5))).toContain('stroke-dasharray="37.7 75.4"');
  expect(faviconOf("running", 0.1)).not.toBe(faviconOf("running", 0.9));
  expect(faviconOf('"><script>', null)).not.toContain("script");
});
