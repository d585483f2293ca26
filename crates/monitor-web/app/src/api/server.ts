/** Sends requests to the server of this page. */
import { takeAhead } from "./ahead.ts";

export const origin = location.origin;

/** Sends a request; rejects if the server does not respond. */
export function ask(request: Request): Promise<Response> {
  return takeAhead(request) ?? fetch(request);
}
