/** Unpacks blocks of the file: gzip in base64. */

/** Number of characters that are unpacked at once, a multiple of four. */
const SLICE = 1 << 18;
/** Maximum time without a pause, so that the page stays responsive. */
const BUSY_MS = 12;

/** Yields the bytes of a block in pieces, with pauses. */
export async function* unpacked(base64: string): AsyncGenerator<Uint8Array> {
  const pieces = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start: (into) => {
      for (let at = 0; at < base64.length; at += SLICE) into.enqueue(Uint8Array.from(atob(base64.slice(at, at + SLICE)), (character) => character.charCodeAt(0)));
      into.close();
    },
  });
  const turn = turns();
  for await (const piece of pieces.pipeThrough(new DecompressionStream("gzip"))) {
    yield piece;
    await turn();
  }
}

/** Returns a pause, which takes time only if the page was kept busy. */
function turns(): () => Promise<void> {
  let begun = performance.now();
  return async () => {
    if (performance.now() - begun < BUSY_MS) return;
    await new Promise((resolve) => setTimeout(resolve));
    begun = performance.now();
  };
}

/** The values of a block of NDJSON. */
export async function* linesOf(base64: string): AsyncGenerator<unknown> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const piece of unpacked(base64)) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line !== "") yield JSON.parse(line);
  }
  if (rest !== "") yield JSON.parse(rest);
}
