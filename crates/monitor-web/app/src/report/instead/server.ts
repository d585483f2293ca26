/** Takes the place of `api/server.ts`: the file answers. */
import { answers } from "../answers.ts";
import { file, textOf } from "../file.ts";

/** No address of anything: requests never leave the page. */
export const origin = "http://file.invalid";

export const ask = answers(file, textOf);
