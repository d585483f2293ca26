/** Reads a tree in columns and cuts it into its parts, away from the page: a large one would hold it up. */
import { ColumnReader, MEDIA_TYPE } from "../model/columns.ts";
import type { FromReader, ToReader } from "./columns.ts";

const scope = self as unknown as { onmessage: (event: MessageEvent<ToReader>) => void; postMessage(message: FromReader, transfer?: Transferable[]): void };

scope.onmessage = ({ data }) => void read(data.address);

async function read(address: string): Promise<void> {
  try {
    const answer = await fetch(address, { headers: { accept: MEDIA_TYPE } });
    if (!answer.ok) {
      const { detail } = (await answer.json().catch(() => ({}))) as { detail?: string };
      return scope.postMessage({ kind: "failed", message: detail ?? answer.statusText, status: answer.status });
    }
    // A server that does not know columns answers as it always did.
    if (!answer.headers.get("content-type")?.startsWith(MEDIA_TYPE) || !answer.body) return scope.postMessage({ kind: "unsupported" });
    const reader = answer.body.getReader();
    const columns = new ColumnReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      for (const part of columns.push(value)) scope.postMessage(part, part.kind === "processes" ? [part.columns.ids.buffer] : []);
    }
    columns.finish();
    scope.postMessage({ kind: "done" });
  } catch (error) {
    scope.postMessage({ kind: "failed", message: error instanceof Error && !(error instanceof TypeError) ? error.message : "", status: 0 });
  }
}
