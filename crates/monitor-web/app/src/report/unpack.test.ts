import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { linesOf, unpacked } from "./unpack.ts";

test("a block of any size is unpacked as it was, in pieces", async () => {
  for (const size of [0, 1, 1000, 3_000_000]) {
    // Data that compresses badly, so that the text has several slices.
    const bytes = Uint8Array.from({ length: size }, (_, at) => ((at * 2_654_435_761) >>> 7) ^ (at >>> 3));
    const pieces: Uint8Array[] = [];
    for await (const piece of unpacked(gzipSync(bytes).toString("base64"))) pieces.push(piece);
    expect(Buffer.concat(pieces).equals(bytes), String(size)).toBe(true);
  }
});

test("lines are whole, wherever a piece ends", async () => {
  const lines = Array.from({ length: 50_000 }, (_, at) => ({ at, said: "中文 ‮ ".repeat(at % 5) }));
  const text = lines.map((line) => JSON.stringify(line)).join("\n");
  for (const end of ["", "\n"]) {
    const found: unknown[] = [];
    for await (const line of linesOf(gzipSync(text + end).toString("base64"))) found.push(line);
    expect(found).toEqual(lines);
  }
});

test("a block that is broken is an error, and not an end", async () => {
  const whole = gzipSync("x".repeat(1000)).toString("base64");
  for (const broken of [whole.slice(0, 16), `!${whole}`, Buffer.from("plain").toString("base64")]) {
    await expect(async () => {
      for await (const piece of unpacked(broken)) expect(piece).toBeDefined();
    }).rejects.toThrow();
  }
});
