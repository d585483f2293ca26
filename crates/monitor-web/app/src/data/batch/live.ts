/** Batch tasks and agents: what the stream tells of them has their lists read again. */
import type { LiveModel } from "../live.ts";

export const live: LiveModel<"batch"> = {
  name: "batch",
  take: () => undefined,
  readAgain: () => undefined,
};
