/** The version of this page, which its server had when both were built. */
declare const __PAGE_VERSION__: string;
