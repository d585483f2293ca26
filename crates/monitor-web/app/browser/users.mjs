/** Users with rights for the tests, and their login. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { newId, server } from "./events.mjs";

const { MONITOR_TEST_MONITOR: monitor, MONITOR_TEST_DATA: data } = process.env;
const PASSWORD = "correct horse battery";

/** Reason for skipping tests that need a login, or false. */
export const skipUsers = monitor && data ? false : "MONITOR_TEST_MONITOR and MONITOR_TEST_DATA, the program `monitor` and the server's data folder, are not set";

/** Adds a user with a role. Returns the name. */
export function addUser(role) {
  const user = `${role}-${newId()}`;
  const added = spawnSync(monitor, ["user", "add", user, "--role", role, "--data", data], { input: `${PASSWORD}\n` });
  assert.equal(added.status, 0, added.stderr.toString());
  return user;
}

/** Permits a user to run jobs on the hosts with this tag. */
export function grantJobs(user, tag) {
  const granted = spawnSync(monitor, ["user", "grant", user, "--jobs-on", tag, "--data", data]);
  assert.equal(granted.status, 0, granted.stderr.toString());
}

/** Fills the form of the login that the page shows, and sends it. */
export async function enter(page, user) {
  await page.locator("input[name=name], input[name=user], input[type=text]").first().fill(user);
  await page.locator("input[type=password]").fill(PASSWORD);
  await page.locator("form button").first().click();
}

/** Logs a user in; the page then shows `address`. */
export async function logIn(page, user, address) {
  await page.goto(`${server}/login?next=${encodeURIComponent(address.slice(server.length))}`);
  await enter(page, user);
  await page.waitForURL((url) => url.pathname !== "/login");
}
