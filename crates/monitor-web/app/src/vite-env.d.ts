/** Version of this page, which was that of its server when both were built. */
declare const __PAGE_VERSION__: string;
/** True if the texts of a language are compiled by Lingui, and not the sources in its file. */
declare const __TEXTS_ARE_COMPILED__: boolean;
