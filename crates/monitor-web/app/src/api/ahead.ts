/** Responses to the requests that `public/ahead.js` sent before the page was loaded, by address. */

const ahead = (globalThis as { ahead?: Map<string, Promise<Response>> }).ahead ?? new Map<string, Promise<Response>>();

/** Settles when all these requests have ended; at once if there were none. */
export const readAhead: Promise<unknown> = Promise.allSettled(ahead.values());

/** Returns the response to this request the first time; a repeated request is sent anew. */
export function takeAhead({ method, url }: Request): Promise<Response> | undefined {
  if (method !== "GET") return undefined;
  const answer = ahead.get(url);
  ahead.delete(url);
  return answer;
}
