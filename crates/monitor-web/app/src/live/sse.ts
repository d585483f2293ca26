/** Reads `text/event-stream` from a response. Unlike EventSource, it reports keep-alives and errors. */

export interface ServerEvent {
  id: number | null;
  type: string;
  data: string;
}

/** Parses events from pieces of text, which may be split anywhere. */
export class EventParser {
  private rest = "";
  private id: number | null = null;
  private begun = false;
  private type = "";
  private data: string[] = [];

  push(text: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop() ?? "";
    for (const line of lines) {
      const event = this.line(line.endsWith("\r") ? line.slice(0, -1) : line);
      if (event) events.push(event);
    }
    return events;
  }

  private line(line: string): ServerEvent | undefined {
    if (line === "") return this.dispatch();
    const colon = line.indexOf(":");
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    this.begun ||= field !== "";
    if (field === "data") this.data.push(value);
    else if (field === "event") this.type = value;
    else if (field === "id" && /^\d+$/.test(value)) this.id = Number(value);
    return undefined;
  }

  private dispatch(): ServerEvent | undefined {
    const { id, type, data, begun } = this;
    this.type = "";
    this.data = [];
    this.begun = false;
    // An id alone reports the position of the stream; a comment alone is ignored.
    return begun ? { id, type, data: data.join("\n") } : undefined;
  }
}

/**
 * Reads a stream until it ends, fails, is aborted or is silent for `silenceMs`; waiting for the response counts as silence, too. Calls
 * `onData` for all data, including keep-alives.
 */
export async function readEvents(
  url: string,
  signal: AbortSignal,
  silenceMs: number,
  on: { open(): void; data(events: ServerEvent[]): void },
): Promise<void> {
  const silence = new AbortController();
  const within = <Value>(awaited: Promise<Value>) => {
    const timer = setTimeout(() => silence.abort(), silenceMs);
    return awaited.finally(() => clearTimeout(timer));
  };
  const answer = await within(
    fetch(url, {
      headers: { accept: "text/event-stream" },
      cache: "no-store",
      signal: AbortSignal.any([signal, silence.signal]),
    }),
  );
  if (!answer.ok || !answer.body) throw new Error(`the stream answered ${answer.status}`);
  on.open();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  const parser = new EventParser();
  for (;;) {
    const { done, value } = await within(reader.read());
    if (done) return;
    on.data(parser.push(value));
  }
}
