/** Replaces `api/server.ts`: requests are answered from the file. */
import { answers } from "../answers.ts";
import { file, textOf } from "../file.ts";

/** An unresolvable address, because requests never leave the page. */
export const origin = "http://file.invalid";

export const ask = answers(file, textOf);
