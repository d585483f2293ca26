/** Web worker that reads a tree in columns and splits it into parts, because a large tree would block the page. */
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
    // An older server without support for columns responds with JSON.
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
