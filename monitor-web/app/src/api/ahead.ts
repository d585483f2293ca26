/** What `public/ahead.js` has begun to read before the page was there. */

const page = globalThis as { ahead?: { url: string; answer: Promise<Response> } | undefined };

/** Until there is an answer, of whatever kind; or at once if nothing was asked. */
export const readAhead: Promise<unknown> = page.ahead?.answer.catch(() => undefined) ?? Promise.resolve();

/** The answer to this request, once: a second time it is asked for anew. */
export function takeAhead({ method, url }: Request): Promise<Response> | undefined {
  const { ahead } = page;
  if (method !== "GET" || ahead?.url !== url) return undefined;
  page.ahead = undefined;
  return ahead.answer;
}
