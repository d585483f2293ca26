//! Settings of the provider and their errors.

use openidconnect::{ClientId, ClientSecret, IssuerUrl, RedirectUrl, Scope};
use tokio::sync::Mutex;
use url::Url;

use super::flow::Taken;
use super::requests::{client, is_safe};
use super::{CALLBACK, Oidc, Reason, Refusal};
use crate::clock::Clock;
use crate::config::Config;

/// Maximum number of bytes read from the file with the secret.
const LONGEST_SECRET: u64 = 64 << 10;

/// Error in the settings of the provider.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OidcError {
    /// A required setting is missing.
    #[error("oidc-issuer is set and {setting} is not: {what}")]
    Lacks {
        /// Name of the setting.
        setting: &'static str,
        /// Purpose of the setting.
        what: &'static str,
    },
    /// A setting has no effect without an issuer.
    #[error("{setting} is set and oidc-issuer is not: name the provider, or leave it out")]
    NoIssuer {
        /// Name of the setting.
        setting: &'static str,
    },
    /// The provider would redirect browsers to an unencrypted URL.
    #[error(
        "oidc-issuer: the provider would lead browsers back to {url}, where others read their codes: set `public-url` to the https \
         address that people reach this server by (plain http is for loopback alone)"
    )]
    Plain {
        /// The URL.
        url: Url,
    },
    /// The URL under which browsers reach this server is unknown.
    #[error("oidc-issuer: the provider has to lead browsers back to this server: set `public-url` to the address that they reach it by")]
    NoAddress,
    /// A URL is invalid.
    #[error("oidc-issuer: {0}")]
    Address(#[from] url::ParseError),
    /// The HTTP client can't be created.
    #[error("oidc-issuer: no HTTP client can be made")]
    Client(#[source] reqwest::Error),
}

impl Oidc {
    /// Returns the configured provider, if there is one.
    pub(crate) fn of(config: &Config, own: &Url, clock: Clock) -> Result<Option<Self>, OidcError> {
        let Some(issuer) = &config.oidc_issuer else {
            let set = [
                ("oidc-client-id", config.oidc_client_id.is_some()),
                ("oidc-client-secret-file", config.oidc_client_secret_file.is_some()),
                ("oidc-roles", !config.oidc_roles.is_empty()),
            ];
            return set.into_iter().find(|(_, is_set)| *is_set).map_or(Ok(None), |(setting, _)| Err(OidcError::NoIssuer { setting }));
        };
        let lacks = |setting, what| OidcError::Lacks { setting, what };
        let client_id = config.oidc_client_id.clone().ok_or_else(|| lacks("oidc-client-id", "this server's name at the provider"))?;
        if config.oidc_roles.is_empty() {
            return Err(lacks("oidc-roles", "which groups may come in, like makers=operator,guests=viewer"));
        }
        if config.public_url.is_none() && !config.listen.ip().to_canonical().is_loopback() {
            return Err(OidcError::NoAddress);
        }
        if !is_safe(own) {
            return Err(OidcError::Plain { url: own.clone() });
        }
        let issuer = IssuerUrl::new(issuer.clone())?;
        Ok(Some(Self {
            http: client(issuer.url()).map_err(OidcError::Client)?,
            issuer,
            client_id: ClientId::new(client_id),
            secret_file: config.oidc_client_secret_file.clone(),
            scopes: config.oidc_scopes.iter().filter(|scope| *scope != "openid").cloned().map(Scope::new).collect(),
            groups_claim: config.oidc_groups_claim.clone(),
            roles: config.oidc_roles.clone(),
            redirect: RedirectUrl::from_url(own.join(CALLBACK)?),
            base: own.clone(),
            known: Mutex::default(),
            taken: Taken::default(),
            clock,
        }))
    }

    /// Reads the client secret from its file.
    pub(super) async fn secret(&self) -> Result<Option<ClientSecret>, Refusal> {
        let Some(path) = self.secret_file.clone() else { return Ok(None) };
        let shown = path.display().to_string();
        let read = tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut std::io::Read::take(std::fs::File::open(path)?, LONGEST_SECRET), &mut text).map(|_| text)
        });
        let text = read.await.map_err(std::io::Error::other).flatten();
        let text =
            text.map_err(|error| Refusal::new(Reason::Secret, format!("oidc-client-secret-file: could not read {shown}: {error}")))?;
        let secret = text.lines().next().unwrap_or_default().trim().to_owned();
        if secret.is_empty() {
            return Err(Refusal::new(Reason::Secret, format!("oidc-client-secret-file: {shown} is empty")));
        }
        Ok(Some(ClientSecret::new(secret)))
    }
}
