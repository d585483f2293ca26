/** Replaces `api/columns.ts`: reads a tree of the file in the main thread, because a file can't start web workers. */
import { ColumnReader, type Part } from "../../model/columns.ts";
import { file, textOf } from "../file.ts";
import { unpacked } from "../unpack.ts";

export async function readColumns(root: string, signal: AbortSignal, take: (part: Part) => void): Promise<boolean> {
  const columns = new ColumnReader();
  for await (const piece of unpacked(textOf(`tree-${file.runs.findIndex(({ root_id }) => root_id === root)}`))) {
    signal.throwIfAborted();
    for (const part of columns.push(piece)) take(part);
  }
  columns.finish();
  return true;
}
