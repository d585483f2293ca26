/**
 * An OpenID Connect provider on loopback for tests: npm's `oidc-provider`, with users without passwords. It prints its issuer as a line and
 * ends with its stdin. Arguments: the port, and the loopback name in the issuer.
 *
 * `POST /test` changes the further behaviour by JSON: `{"claims": {…}}` adds claims to ID tokens, `{"foreign": true}` signs ID tokens with an
 * unknown key, `{"rotate": true}` replaces the keys of the provider, `{"userinfo": true}` leaves only the subject in ID tokens.
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
// No user is asked for consent.
policy.get("consent").checks.remove("native_client_prompt");
const tampering = { claims: {}, foreign: false, userinfo: false };
let signing;
let answer;

async function newKey() {
  const { privateKey } = await generateKeyPair("RS256", { extractable: true });
  return { key: privateKey, kid: crypto.randomUUID() };
}

/** Starts a provider with new keys. Earlier sessions and grants remain. */
async function begin() {
  signing = await newKey();
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: "monitor",
        client_secret: "a secret of the tests",
        // Redirects of native clients may use any loopback port.
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
    // Every login consents to all requested scopes.
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

/** The ID token with the changes of the test, signed again. */
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
