//! Login through OpenID Connect: the authorization code flow with PKCE, state and nonce. The browser goes to the provider and comes back
//! with a code. The server exchanges the code for an ID token, and derives the user and, from the groups, the role. The provider is
//! contacted only for logins, so an unavailable provider affects nothing else.

mod flow;
mod refusal;
mod requests;
mod roles;
mod settings;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::DateTime;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreClientAuthMethod, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreResponseType, CoreRevocableToken,
    CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AccessToken, AdditionalClaims, AuthType, AuthenticationFlow, AuthorizationCode, ClaimsVerificationError, Client, ClientId,
    ClientSecret, CsrfToken, DiscoveryError, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, IdTokenClaims,
    IdTokenFields, IdTokenVerifier, IssuerUrl, JwsSigningAlgorithm, Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, RequestTokenError, Scope, StandardErrorResponse, StandardTokenResponse, SubjectIdentifier, TokenResponse, UserInfoClaims,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use url::Url;

pub(crate) use self::flow::{FLOW_LIFETIME, Flow};
use self::flow::{NotTaken, Taken};
pub(crate) use self::refusal::{Reason, Refusal};
pub(crate) use self::requests::is_safe;
use self::requests::{RequestError, send};
pub use self::roles::RolesOfGroups;
use self::roles::{claim, groups};
pub use self::settings::OidcError;
use crate::access::{AccessError, Identity};
use crate::clock::Clock;

/// Path that the provider redirects browsers to.
pub(crate) const CALLBACK: &str = "/login/oidc/callback";
/// Time after which the provider's metadata is requested again.
const KNOWN_FOR: Duration = Duration::from_secs(3_600);
/// Time after a failure within which the provider is not contacted again.
const AWAY_FOR: Duration = Duration::from_secs(2);

/// Claims that OpenID Connect does not define.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Others(Map<String, Value>);

impl AdditionalClaims for Others {}

type Tokens = StandardTokenResponse<
    IdTokenFields<Others, EmptyExtraTokenFields, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>,
    CoreTokenType,
>;
type OidcClient = Client<
    Others,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Client of the OpenID Connect provider.
pub(crate) struct Oidc {
    issuer: IssuerUrl,
    client_id: ClientId,
    secret_file: Option<PathBuf>,
    scopes: Vec<Scope>,
    groups_claim: String,
    roles: RolesOfGroups,
    redirect: RedirectUrl,
    /// URL of this server, as used by browsers.
    base: Url,
    http: reqwest::Client,
    known: Mutex<Known>,
    taken: Taken,
    clock: Clock,
}

/// Cached metadata or failure of the provider, with its time.
#[derive(Default)]
struct Known {
    metadata: Option<(Arc<CoreProviderMetadata>, Instant)>,
    away: Option<(Refusal, Instant)>,
}

/// Response of the provider, from the query of the callback.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Answer {
    state: String,
    code: String,
    error: String,
    error_description: String,
}

impl Oidc {
    /// Returns the provider's host, which users recognize it by.
    pub(crate) fn name(&self) -> &str {
        self.issuer.url().host_str().unwrap_or_default()
    }

    /// Returns this server's URL. A login must begin under the same host name as the callback, because the cookie is bound to it.
    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    /// Begins a login. Returns it with the provider's URL for the browser.
    pub(crate) async fn begin(&self, next: &str, lang: &str) -> Result<(Flow, Url), BeginError> {
        let metadata = self.metadata(None).await?;
        let flow = Flow::begin(next, lang, self.clock.wall_us())?;
        let (state, nonce) = (CsrfToken::new(flow.state()), Nonce::new(flow.nonce()));
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(flow.verifier()));
        let client = self.client(&metadata, None);
        let way = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
        let request = client.authorize_url(way, move || state, move || nonce).add_scopes(self.scopes.iter().cloned());
        let (url, ..) = request.set_pkce_challenge(challenge).url();
        Ok((flow, url))
    }

    /// Accepts the pending login in the cookie if the response belongs to it. Each login is accepted only once, and only in the browser
    /// where it began.
    pub(crate) fn take(&self, cookie: Option<&str>, answer: &Answer) -> Result<Flow, Refusal> {
        let stranger = || Refusal::new(Reason::Stranger, "");
        let flow = cookie.and_then(Flow::read).ok_or_else(stranger)?;
        self.taken.take(&flow, &answer.state, self.clock.wall_us()).map_err(|not| match not {
            NotTaken::Stranger => stranger(),
            NotTaken::Again => Refusal::new(Reason::Replayed, ""),
        })?;
        Ok(flow)
    }

    /// Finishes an accepted login. Returns the user whom the provider has authenticated.
    pub(crate) async fn finish(&self, flow: &Flow, answer: Answer) -> Result<Identity, Refusal> {
        if !answer.error.is_empty() || answer.code.is_empty() {
            let words = [answer.error, answer.error_description].into_iter().filter(|words| !words.is_empty());
            return Err(Refusal::new(Reason::Denied, words.collect::<Vec<_>>().join(": ")));
        }
        let metadata = self.metadata(None).await?;
        let tokens = self.exchange(&metadata, flow, answer.code).await?;
        let claims = self.verified(metadata.clone(), flow, &tokens).await?;
        self.identity(&metadata, claims, tokens.access_token()).await
    }

    /// Exchanges a code for tokens.
    async fn exchange(&self, metadata: &CoreProviderMetadata, flow: &Flow, code: String) -> Result<Tokens, Refusal> {
        let client = self.client(metadata, self.secret().await?);
        let refused = |error: &dyn std::error::Error| Refusal::new(Reason::Refused, monitor_http::with_causes(error));
        let request = client.exchange_code(AuthorizationCode::new(code)).map_err(|error| refused(&error))?;
        let request = request.set_pkce_verifier(PkceCodeVerifier::new(flow.verifier()));
        let sent = request.request_async(&|request| send(self.http.clone(), request)).await;
        sent.map_err(|error| match error {
            RequestTokenError::ServerResponse(answer) => {
                let code = answer.error().to_string();
                Refusal::new(Reason::Refused, answer.error_description().map_or(code.clone(), |words| format!("{code}: {words}")))
            }
            RequestTokenError::Request(error) => self.away(&error),
            // The error contains the response, which may contain tokens, so only the inner error is shown.
            RequestTokenError::Parse(error, _) => Refusal::new(Reason::Token, error.inner()),
            RequestTokenError::Other(words) => Refusal::new(Reason::Refused, words),
        })
    }

    /// Returns the claims of a verified ID token. If its key is unknown, the provider's keys are requested again, because they may have
    /// been replaced.
    async fn verified(
        &self,
        metadata: Arc<CoreProviderMetadata>,
        flow: &Flow,
        tokens: &Tokens,
    ) -> Result<IdTokenClaims<Others, CoreGenderClaim>, Refusal> {
        let token = tokens.id_token().ok_or_else(|| Refusal::new(Reason::Token, "there is no ID token in the answer"))?;
        let nonce = Nonce::new(flow.nonce());
        let look = |metadata: &CoreProviderMetadata| token.claims(&self.verifier(metadata), &nonce).cloned();
        let error = match look(&metadata) {
            Ok(claims) => return Ok(claims),
            Err(error @ ClaimsVerificationError::SignatureVerification(_)) => error,
            Err(error) => return Err(Refusal::of_token(&error)),
        };
        let anew = self.metadata(Some(&metadata)).await.map_err(|_| Refusal::of_token(&error))?;
        look(&anew).map_err(|error| Refusal::of_token(&error))
    }

    /// Creates the verifier of issuer, audience, signature, time and nonce. Only signatures by the provider's keys are accepted. A
    /// signature by the client's secret would prove nothing beyond knowledge of that secret.
    fn verifier<'a>(&'a self, metadata: &CoreProviderMetadata) -> IdTokenVerifier<'a, CoreJsonWebKey> {
        let algorithms = metadata.id_token_signing_alg_values_supported().iter().cloned();
        let by_keys = algorithms.filter(|one| !one.uses_shared_secret() && *one != CoreJwsSigningAlgorithm::None);
        IdTokenVerifier::new_public_client(self.client_id.clone(), self.issuer.clone(), metadata.jwks().clone())
            .set_allowed_algs(by_keys)
            .set_time_fn(|| DateTime::from_timestamp_micros(self.clock.wall_us() as i64).unwrap_or_default())
    }

    /// Returns the user and the role by the claims. Claims that the ID token lacks are requested from the provider.
    async fn identity(
        &self,
        metadata: &CoreProviderMetadata,
        claims: IdTokenClaims<Others, CoreGenderClaim>,
        token: &AccessToken,
    ) -> Result<Identity, Refusal> {
        let subject = claims.subject().clone();
        // The subject distinguishes accounts.
        if subject.trim().is_empty() {
            return Err(Refusal::new(Reason::Token, "the ID token names no subject (`sub`)"));
        }
        let mut all = object(&claims);
        if claim(&all, &self.groups_claim).is_none() || shown_name(&all).is_none() {
            let more = self.user_info(metadata, token, &subject).await?;
            more.into_iter().for_each(|(name, value)| _ = all.entry(name).or_insert(value));
        }
        let is_unproven = self.groups_claim == "email" && all.get("email_verified").and_then(Value::as_bool) == Some(false);
        let groups = claim(&all, &self.groups_claim).filter(|_| !is_unproven).map(groups).unwrap_or_default();
        Ok(Identity {
            issuer: self.issuer.as_str().to_owned(),
            name: shown_name(&all).unwrap_or(subject.as_str()).to_owned(),
            subject: subject.as_str().to_owned(),
            role: self.roles.of(&groups),
        })
    }

    /// Returns the claims of the provider's user info endpoint. Empty if there is no such endpoint.
    async fn user_info(
        &self,
        metadata: &CoreProviderMetadata,
        token: &AccessToken,
        subject: &SubjectIdentifier,
    ) -> Result<Map<String, Value>, Refusal> {
        let client = self.client(metadata, None);
        let Ok(request) = client.user_info(token.clone(), Some(subject.clone())) else { return Ok(Map::new()) };
        let asked = request.request_async(&|request| send(self.http.clone(), request)).await;
        let info: UserInfoClaims<Others, CoreGenderClaim> = asked.map_err(|error| {
            Refusal::new(Reason::Token, format!("what the provider knows of whoever logs in: {}", monitor_http::with_causes(&error)))
        })?;
        Ok(object(&info))
    }

    /// Returns the provider's metadata with its keys. They are requested at the first use, when they are too old, and when they are the
    /// same as `old`.
    async fn metadata(&self, old: Option<&Arc<CoreProviderMetadata>>) -> Result<Arc<CoreProviderMetadata>, Refusal> {
        let mut known = self.known.lock().await;
        if let Some((metadata, since)) = &known.metadata
            && since.elapsed() < KNOWN_FOR
            && !old.is_some_and(|old| Arc::ptr_eq(old, metadata))
        {
            return Ok(metadata.clone());
        }
        if let Some((refusal, since)) = &known.away
            && since.elapsed() < AWAY_FOR
        {
            return Err(refusal.clone());
        }
        let asked = CoreProviderMetadata::discover_async(self.issuer.clone(), &|request| send(self.http.clone(), request)).await;
        match asked {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                *known = Known { metadata: Some((metadata.clone(), Instant::now())), away: None };
                Ok(metadata)
            }
            Err(error) => {
                let refusal = match &error {
                    DiscoveryError::Request(error) => self.away(error),
                    error => Refusal::new(Reason::Away, format!("{}: {}", self.issuer.as_str(), monitor_http::with_causes(error))),
                };
                known.away = Some((refusal.clone(), Instant::now()));
                Err(refusal)
            }
        }
    }

    fn away(&self, error: &RequestError) -> Refusal {
        Refusal::new(Reason::Away, format!("{}: {}", self.name(), monitor_http::with_causes(error)))
    }

    fn client(&self, metadata: &CoreProviderMetadata, secret: Option<ClientSecret>) -> OidcClient {
        let methods = metadata.token_endpoint_auth_methods_supported();
        let takes = |method: &CoreClientAuthMethod| methods.is_none_or(|methods| methods.contains(method));
        let auth_type = if takes(&CoreClientAuthMethod::ClientSecretBasic) { AuthType::BasicAuth } else { AuthType::RequestBody };
        let client = OidcClient::from_provider_metadata(metadata.clone(), self.client_id.clone(), secret);
        client.set_auth_type(auth_type).set_redirect_uri(self.redirect.clone())
    }
}

/// Reason why a login did not begin.
#[derive(Debug)]
pub(crate) enum BeginError {
    Refused(Refusal),
    Access(AccessError),
}

impl From<Refusal> for BeginError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<AccessError> for BeginError {
    fn from(error: AccessError) -> Self {
        Self::Access(error)
    }
}

/// Returns the claims by name.
fn object(claims: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(claims) {
        Ok(Value::Object(claims)) => claims,
        _ => Map::new(),
    }
}

/// Returns the name of a user for display.
fn shown_name(claims: &Map<String, Value>) -> Option<&str> {
    ["preferred_username", "email", "name"].into_iter().find_map(|name| claims.get(name)?.as_str().filter(|name| !name.is_empty()))
}
