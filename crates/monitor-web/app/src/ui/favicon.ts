/** The browser tab's icon: the state of the displayed run and its progress. */

const COLOURS: Readonly<Record<string, string>> = { running: "#5e90e6", succeeded: "#5d8a68", failed: "#d9534a", lost: "#b27d1c" };
const ROUND = 2 * Math.PI * 12;

/** Returns the icon as a data URL. `part` is from 0 to 1; null if unknown. */
export function faviconOf(state: string, part: number | null): string {
  const colour = COLOURS[state] ?? "#8b9097";
  const ring = state === "running" ? `<circle cx="16" cy="16" r="12" fill="none" stroke="${colour}" stroke-opacity=".3" stroke-width="7"/><circle cx="16" cy="16" r="12" fill="none" stroke="${colour}" stroke-width="7" stroke-dasharray="${((part ?? 0.25) * ROUND).toFixed(1)} ${ROUND.toFixed(1)}" transform="rotate(-90 16 16)"/>` : `<circle cx="16" cy="16" r="14" fill="${colour}"/>`;
  // The state is not shown by colour alone.
  const sign = { failed: "M10 10l12 12m0-12l-12 12", succeeded: "M9 17l5 5 9-11", lost: "M11 12a5 5 0 1 1 5 6v2m0 3v2" }[state];
  const mark = sign === undefined ? "" : `<path d="${sign}" fill="none" stroke="#fff" stroke-width="3.5"/>`;
  return `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">${ring}${mark}</svg>`)}`;
}

/** URL of the page's default icon. */
let own: string | undefined;

/** Sets the icon; without a state, the page's default icon. */
export function setFavicon(state: string | null, part: number | null = null): void {
  const link = document.querySelector<HTMLLinkElement>('link[rel="icon"]');
  if (!link) return;
  own ??= link.href;
  link.href = state === null ? own : faviconOf(state, part);
}
