/** What `public/ahead.js` has begun to read before the page was there: the answers by their addresses. */

const ahead = (globalThis as { ahead?: Map<string, Promise<Response>> }).ahead ?? new Map<string, Promise<Response>>();

/** Until all of it is answered, in whatever way; or at once if nothing was asked. */
export const readAhead: Promise<unknown> = Promise.allSettled(ahead.values());

/** The answer to this request, once: a second time it is asked for anew. */
export function takeAhead({ method, url }: Request): Promise<Response> | undefined {
  if (method !== "GET") return undefined;
  const answer = ahead.get(url);
  ahead.delete(url);
  return answer;
}
