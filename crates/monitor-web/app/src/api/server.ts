/** The server that this page came from. */
import { takeAhead } from "./ahead.ts";

export const origin = location.origin;

/** Asks the server; rejects if it does not answer. */
export function ask(request: Request): Promise<Response> {
  return takeAhead(request) ?? fetch(request);
}
