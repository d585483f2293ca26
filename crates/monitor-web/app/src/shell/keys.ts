/** The keys that open the palette, as this machine's keyboard names them. */
export const PALETTE_KEY = /Mac|iP(hone|ad)/.test(navigator.platform) ? "⌘ K" : "Ctrl K";
