/** Replaces `clock.ts`: the time of day is the time at which the file was written. */
import { file } from "../file.ts";

export function timeOfDay(): number {
  return file.written_us;
}
