/** Checks that `schema.ts` matches the server's API description, which a test of the server keeps current. */
import { readFile } from "node:fs/promises";
import openapi, { astToString } from "openapi-typescript";
import { expect, test } from "vitest";

test("the types are made from the description as it is", async () => {
  const types = astToString(await openapi(new URL("./openapi.json", import.meta.url)));
  const checkedIn = await readFile(new URL("./schema.ts", import.meta.url), "utf8");
  expect(checkedIn.endsWith(types), "`npm run types` makes them anew").toBe(true);
});
