/** Takes the place of `clock.ts`: what ran when the file was written is shown as it was then. */
import { file } from "../file.ts";

export function timeOfDay(): number {
  return file.written_us;
}
