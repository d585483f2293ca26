/** A worker's command channel with simulated answers. */
import assert from "node:assert/strict";
import { after } from "node:test";
import { server } from "./events.mjs";

const open = new Set();

/** Closes the channels of a test file, also if tests fail, because an open channel would keep the process alive. */
export function useChannels() {
  after(() => open.forEach((end) => end.abort()));
}

/**
 * Opens a worker's channel. `answers` maps methods to replies, or to functions that create a reply from the arguments; other methods are
 * not answered. The worker announces these methods. Returns a function that closes the channel.
 */
export async function openChannel(worker, answers) {
  const headers = { "monitor-channel-key": "k".repeat(40) };
  const end = new AbortController();
  open.add(end);
  const response = await fetch(`${server}/api/v1/workers/${worker.id}/commands?methods=${Object.keys(answers).join(",")}`, { headers, signal: end.signal });
  assert.equal(response.status, 200);
  const read = async () => {
    let text = "";
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      const events = (text + chunk).split("\n\n");
      text = events.pop();
      for (const event of events.filter((event) => event.includes("event: command"))) {
        const { id, method, arguments: given } = JSON.parse(/^data: (.*)$/m.exec(event)[1]);
        const answer = answers[method];
        if (answer === undefined) continue;
        const reply = typeof answer === "function" ? await answer(given ?? {}) : answer;
        const body = JSON.stringify({ worker_id: worker.id, ...reply });
        await fetch(`${server}/api/v1/commands/${id}/replies`, { method: "POST", headers: { ...headers, "content-type": "application/json" }, body });
      }
    }
  };
  read().catch((error) => assert.equal(error.name, "AbortError"));
  return () => end.abort();
}
