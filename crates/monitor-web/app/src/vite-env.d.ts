/** The version of this page, which its server had when both were built. */
declare const __PAGE_VERSION__: string;
/** The texts of a language are what Lingui makes of them, and not as they stand in its file. */
declare const __TEXTS_ARE_COMPILED__: boolean;
