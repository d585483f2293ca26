/** Reads a whole tree in columns, in a web worker. */
import type { Part } from "../model/columns.ts";
import { ApiError, rootPath } from "./client.ts";

export interface ToReader {
  address: string;
}

export type FromReader = Part | { kind: "failed"; message: string; status: number } | { kind: "unsupported" } | { kind: "done" };

/** Passes each part to `take`. Resolves to true if both the server and this browser support columns. */
export function readColumns(root: string, signal: AbortSignal, take: (part: Part) => void): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./columns.worker.ts", import.meta.url), { type: "module" });
    const end = (settle: () => void) => {
      worker.terminate();
      settle();
    };
    signal.addEventListener("abort", () => end(() => reject(signal.reason)), { once: true });
    worker.onerror = () => end(() => resolve(false));
    worker.onmessage = ({ data }: MessageEvent<FromReader>) => {
      if (data.kind === "failed") end(() => reject(data.status === 0 && data.message !== "" ? new Error(data.message) : new ApiError(data.message, data.status)));
      else if (data.kind === "unsupported") end(() => resolve(false));
      else if (data.kind === "done") end(() => resolve(true));
      else take(data);
    };
    const message: ToReader = { address: `${location.origin}${rootPath(root)}/tree` };
    worker.postMessage(message);
  });
}
