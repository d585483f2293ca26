/** The keyboard shortcut that opens the palette, in the notation of the reader's platform. */
export const PALETTE_KEY = /Mac|iP(hone|ad)/.test(navigator.platform) ? "⌘ K" : "Ctrl K";
