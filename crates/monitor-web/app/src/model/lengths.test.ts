import { expect, test } from "vitest";
import { readLength } from "./lengths.ts";

test("lengths of time are read as they are typed", () => {
  for (const [text, length] of [["90m", 5_400_000], [" 1h 30m ", 5_400_000], ["1d", 86_400_000], ["2w", 1_209_600_000], ["30s", 30_000]] as const) {
    expect(readLength(text), text).toBe(length);
  }
  for (const text of ["", "0s", "soon", "5", "m", "5 x", "1.5h", "-1h", "1h!", "9".repeat(400) + "d", "30 2 * * *"]) {
    expect(readLength(text), text).toBeUndefined();
  }
});
