/**
 * A provider of OpenID Connect on loopback, for tests: npm's `oidc-provider`, with people who have no password. It prints its issuer in a
 * line, and ends with its stdin. Arguments: the port, and the loopback name that its issuer has.
 *
 * `POST /test` changes what it does from then on, by JSON: `{"claims": {…}}` puts these into the next ID tokens, `{"foreign": true}` signs them
 * by a key that nobody knows, `{"rotate": true}` gives the provider other keys, `{"userinfo": true}` leaves all but the subject out of ID tokens.
 */
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { decodeJwt, exportJWK, generateKeyPair, SignJWT } from "jose";
import Provider, { interactionPolicy } from "oidc-provider";

const PEOPLE = {
  ada: { preferred_username: "ada", email: "ada@example.com", groups: ["makers", "ops people"] },
  bob: { preferred_username: "bob", email: "bob@example.com", groups: ["guests"] },
  eve: { preferred_username: "eve", email: "eve@example.com", groups: [] },
};

const server = createServer();
await new Promise((listening) => server.listen(Number(process.argv[2] ?? 0), "127.0.0.1", listening));
const issuer = `http://${process.argv[3] ?? "127.0.0.1"}:${server.address().port}`;
const cookieKey = crypto.randomUUID();
const policy = interactionPolicy.base();
// Nobody is asked whether they agree.
policy.get("consent").checks.remove("native_client_prompt");
const tampering = { claims: {}, foreign: false, userinfo: false };
let signing;
let answer;

async function newKey() {
  const { privateKey } = await generateKeyPair("RS256", { extractable: true });
  return { key: privateKey, kid: crypto.randomUUID() };
}

/** Begins with keys that nobody has seen. What was issued before is remembered. */
async function begin() {
  signing = await newKey();
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: "monitor",
        client_secret: "a secret of the tests",
        // Redirects of native clients may go to any port of loopback.
        application_type: "native",
        redirect_uris: ["http://127.0.0.1/login/oidc/callback"],
      },
    ],
    claims: { openid: ["sub"], profile: ["preferred_username", "groups"], email: ["email"] },
    conformIdTokenClaims: false,
    cookies: { keys: [cookieKey] },
    features: { devInteractions: { enabled: false } },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...PEOPLE[id.slice("person-".length)] }) }),
    interactions: { policy, url: (_, interaction) => `/interaction/${interaction.uid}` },
    jwks: { keys: [{ ...(await exportJWK(signing.key)), kid: signing.kid, alg: "RS256", use: "sig" }] },
    // Whoever logs in agrees to all that is asked for.
    async loadExistingGrant(context) {
      const grant = new context.oidc.provider.Grant({ clientId: context.oidc.client.clientId, accountId: context.oidc.session.accountId });
      grant.addOIDCScope("openid profile email");
      await grant.save();
      return grant;
    },
  });
  provider.use(async (context, next) => {
    await next();
    if (context.oidc?.route === "token" && context.body?.id_token) context.body.id_token = await tampered(context.body.id_token);
  });
  const callback = provider.callback();
  answer = (request, response) => {
    const { pathname, searchParams } = new URL(request.url, issuer);
    if (!pathname.startsWith("/interaction/")) return callback(request, response);
    const account = searchParams.get("account");
    if (account === "nobody") return provider.interactionFinished(request, response, { error: "access_denied", error_description: "not today" });
    if (account) return provider.interactionFinished(request, response, { login: { accountId: `person-${account}` } });
    const links = Object.keys(PEOPLE).map((name) => `<p><a href="${pathname}?account=${name}">${name}</a>`);
    response.setHeader("content-type", "text/html").end(`<!doctype html><title>Who are you?</title><link rel=icon href=data:,>${links.join("")}`);
  };
}

/** The ID token as the test wants it, signed anew. */
async function tampered(token) {
  const claims = decodeJwt(token);
  const { iss, aud, sub, exp, iat, nonce } = claims;
  const { key, kid } = tampering.foreign ? { ...(await newKey()), kid: signing.kid } : signing;
  return new SignJWT({ ...(tampering.userinfo ? { iss, aud, sub, exp, iat, nonce } : claims), ...tampering.claims })
    .setProtectedHeader({ alg: "RS256", kid })
    .sign(key);
}

await begin();
server.on("request", async (request, response) => {
  if (request.url !== "/test") return answer(request, response);
  let body = "";
  for await (const chunk of request) body += chunk;
  const { rotate, ...changes } = JSON.parse(body);
  Object.assign(tampering, changes);
  if (rotate) await begin();
  response.end();
});
createInterface({ input: process.stdin }).on("close", () => process.exit());
console.log(issuer);
