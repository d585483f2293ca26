/** Batch tasks and agents: stream events about them cause their lists to be read again. */
import type { LiveModel } from "../live.ts";

export const live: LiveModel<"batch"> = {
  name: "batch",
  take: () => undefined,
  readAgain: () => undefined,
};
