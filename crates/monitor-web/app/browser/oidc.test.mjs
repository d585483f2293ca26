/**
 * Login through an OpenID Connect provider. The provider is on another site than the server: `localhost` and `127.0.0.1` are different
 * sites.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { hasAddress, hasText, onPage, useBrowser } from "./browser.mjs";

const { MONITOR_TEST_MONITOR: monitor } = process.env;
const skip = monitor ? false : "MONITOR_TEST_MONITOR, the program `monitor`, is not set";
useBrowser();

const programs = [];
let folder;
let server;

/** Starts a program; returns the matching part of the first line that matches. */
async function start(pattern, ...command) {
  const program = spawn(command[0], command.slice(1), { stdio: ["pipe", "pipe", "ignore"] });
  programs.push(program);
  for await (const line of createInterface({ input: program.stdout })) {
    const found = pattern.exec(line);
    if (found) {
      program.stdout.resume();
      return found[1];
    }
  }
  assert.fail(`${command[0]} has ended`);
}

before(async () => {
  if (skip) return;
  folder = mkdtempSync(join(tmpdir(), "monitor-oidc-"));
  writeFileSync(join(folder, "secret"), "a secret of the tests\n");
  const provider = fileURLToPath(new URL("../../../../tests/oidc", import.meta.url));
  assert.ok(existsSync(join(provider, "node_modules")), "the provider's packages are not installed: `npm ci` in tests/oidc, or `cargo xtask test`");
  const issuer = await start(/^(http.*)/, process.execPath, join(provider, "provider.mjs"), "0", "localhost");
  const flags = { data: join(folder, "data"), listen: "127.0.0.1:0", loopback: "token", agent: "off", "spool-dir": "off" };
  const oidc = { issuer, "client-id": "monitor", "client-secret-file": join(folder, "secret"), roles: "ops people=admin,guests=viewer" };
  const named = [...Object.entries(flags), ...Object.entries(oidc).map(([name, value]) => [`oidc-${name}`, value])];
  server = await start(/^listening on (.*)\/tasks/, monitor, "server", ...named.flatMap(([name, value]) => [`--${name}`, value]));
});

after(async () => {
  for (const program of programs.reverse()) {
    program.kill();
    if (program.exitCode === null && program.signalCode === null) await once(program, "exit");
  }
  if (folder) rmSync(folder, { recursive: true });
});

const by = (page) => page.getByRole("link", { name: "Log in with localhost" });

test("whoever is in a group comes back from the provider to where they were going", { skip }, async () => {
  await onPage(`${server}/tasks?state=failed`, async (page, context) => {
    await hasAddress(page, /\/login\?next=/);
    await by(page).click();
    await hasAddress(page, /^http:\/\/localhost:\d+\/interaction\//);
    await page.getByRole("link", { name: "ada" }).click();
    await hasAddress(page, /127\.0\.0\.1:\d+\/tasks\?state=failed$/);
    const me = await page.evaluate(async () => (await fetch("/api/v1/me")).json());
    assert.deepEqual([me.user, me.role, me.how], ["ada", "admin", "session"]);
    const cookies = await context.cookies(server);
    assert.deepEqual(cookies.map(({ name, sameSite, httpOnly }) => [name, sameSite, httpOnly]), [["monitor_session", "Strict", true]]);
  });
});

test("whoever is in none is told so, in the language of the page", { skip }, async () => {
  const expected = /403 \(Forbidden\)/;
  await onPage(
    `${server}/login?lang=en`,
    async (page) => {
      await by(page).click();
      await page.getByRole("link", { name: "eve" }).click();
      // On a busy machine the provider may respond later than the server's timeout.
      while (/not reached/.test(await page.getByRole("alert").first().textContent())) {
        await Promise.all([page.waitForEvent("load"), by(page).click()]);
      }
      await hasText(page.getByRole("alert"), /none of your groups has access/);
      // The provider has a session now, and doesn't ask again.
      await page.getByRole("link", { name: "中文" }).click();
      await page.getByRole("link", { name: "通过 localhost 登录" }).click();
      await hasText(page.getByRole("alert"), /均无权访问/);
    },
    { expected },
  );
});
