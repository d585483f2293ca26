import { expect, test } from "vitest";
import { quantile } from "./fold.ts";

test("a quantile is within two percent", () => {
  const fold = { count: 4, running: 1, failed: 0, cancelled: 0, min_ns: 100, max_ns: 1000, histogram: [[117, 2], [176, 1]] };
  expect(Math.abs((quantile(fold, 0.5) ?? 0) / 100 - 1)).toBeLessThan(0.02);
  expect(quantile(fold, 0.95)).toBe(1000);
  expect(quantile({ ...fold, histogram: [] }, 0.95)).toBeNull();
});
