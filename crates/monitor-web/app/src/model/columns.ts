/** Parser of the server's format for trees in columns: `application/vnd.process-monitor.tree`, described in docs/internals/columns.md. */
import type { Failure, Process, TreePage } from "../api/types.ts";

export const MEDIA_TYPE = "application/vnd.process-monitor.tree";

const MAGIC = "PMTREE01";
export const NOTHING = 0xffff_ffff;
export const ORPHAN = 1;
/** Flag: the parent exists but is ignored, because the process would be too deep. */
export const DEEP = 4;

export interface Site {
  name: string;
  kind: string;
  source: { file: string; line: number } | null;
}

export interface Origin {
  worker_id: string | null;
  thread: string | null;
}

export type Head = Pick<TreePage, "root" | "ignored_parents" | "deep_parents" | "dropped" | "as_of"> & { count: number };

/** Columns of consecutive processes in pre-order; unknown times are NaN. */
export interface Columns {
  count: number;
  /** Index of the first process in the whole tree. */
  first: number;
  /** Pairs of words for each id: lower, then upper. */
  ids: Uint32Array;
  started: Float64Array;
  ended: Float64Array;
  elapsed: Float64Array;
  parents: Uint32Array;
  sites: Uint32Array;
  origins: Uint32Array;
  errors: Uint32Array;
  states: Uint8Array;
  flags: Uint8Array;
}

/** Rare fields of a process, with its index. */
export type Rare = [place: number, rest: Partial<Process>];

export type Part =
  | { kind: "head"; head: Head }
  | { kind: "sites"; table: Site[] }
  | { kind: "origins"; table: Origin[] }
  | { kind: "errors"; table: Failure[] }
  | { kind: "processes"; columns: Columns }
  | { kind: "rare"; entries: Rare[] }
  | { kind: "end" };

const PLAIN = { 1: "head", 2: "sites", 3: "origins", 4: "errors", 6: "rare" } as const;

/** Splits received data, in pieces of any length, into parts. */
export class ColumnReader {
  private pieces: Uint8Array[] = [];
  private length = 0;
  private begun = false;
  private ended = false;

  push(piece: Uint8Array): Part[] {
    this.pieces.push(piece);
    this.length += piece.length;
    const parts: Part[] = [];
    if (!this.begun) {
      if (this.length < 8) return parts;
      const magic = String.fromCharCode(...this.take(8));
      if (magic !== MAGIC) throw new Error(`the server sent a tree of another kind: ${JSON.stringify(magic)}`);
      this.begun = true;
    }
    for (let header = this.peek(8); header; header = this.peek(8)) {
      const view = new DataView(header.buffer, header.byteOffset, 8);
      const [kind, bytes] = [view.getUint32(0, true), view.getUint32(4, true)];
      if (this.length < 8 + bytes) break;
      this.take(8);
      const part = read(kind, this.take(bytes));
      if (part) parts.push(part);
      this.ended ||= kind === 0;
    }
    return parts;
  }

  /** Throws if the response was incomplete. */
  finish(): void {
    if (!this.ended) throw new Error("the answer broke off in the middle of the tree");
  }

  private peek(count: number): Uint8Array | null {
    if (this.length < count) return null;
    const first = this.pieces[0] as Uint8Array;
    if (first.length >= count) return first.subarray(0, count);
    const taken = this.take(count);
    this.pieces.unshift(taken);
    this.length += count;
    return taken;
  }

  /** Returns the next bytes at the start of a separate buffer, so that columns are aligned in it. */
  private take(count: number): Uint8Array {
    const taken = new Uint8Array(count);
    let filled = 0;
    while (filled < count) {
      const first = this.pieces[0] as Uint8Array;
      const part = first.subarray(0, count - filled);
      taken.set(part, filled);
      filled += part.length;
      if (part.length === first.length) this.pieces.shift();
      else this.pieces[0] = first.subarray(part.length);
    }
    this.length -= count;
    return taken;
  }
}

function read(kind: number, bytes: Uint8Array): Part | undefined {
  if (kind === 0) return { kind: "end" };
  if (kind === 5) return { kind: "processes", columns: columnsOf(bytes.buffer as ArrayBuffer) };
  const name = (PLAIN as Record<number, (typeof PLAIN)[keyof typeof PLAIN] | undefined>)[kind];
  if (!name) return undefined;
  const content: unknown = JSON.parse(new TextDecoder().decode(bytes));
  if (name === "head") return { kind: name, head: content as Head };
  if (name === "rare") return { kind: name, entries: content as Rare[] };
  return { kind: name, table: content as never[] };
}

/** Creates columns as views of a buffer with a part of kind 5. */
function columnsOf(buffer: ArrayBuffer): Columns {
  const [count = 0, first = 0] = new Uint32Array(buffer, 0, 2);
  let at = 8;
  const next = <Column>(bytes: number, make: (at: number) => Column): Column => {
    const column = make(at);
    at += bytes * count;
    return column;
  };
  const u32 = () => next(4, (from) => new Uint32Array(buffer, from, count));
  const f64 = () => next(8, (from) => new Float64Array(buffer, from, count));
  const u8 = () => next(1, (from) => new Uint8Array(buffer, from, count));
  const ids = next(8, (from) => new Uint32Array(buffer, from, count * 2));
  const [started, ended, elapsed] = [f64(), f64(), f64()];
  const [parents, sites, origins, errors] = [u32(), u32(), u32(), u32()];
  next(4, () => undefined); // depth: the tree knows it
  return { count, first, ids, started, ended, elapsed, parents, sites, origins, errors, states: u8(), flags: u8() };
}
