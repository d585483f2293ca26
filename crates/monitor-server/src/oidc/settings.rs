//! The provider as the settings name it, and why they don't do.

use openidconnect::{ClientId, ClientSecret, IssuerUrl, RedirectUrl, Scope};
use tokio::sync::Mutex;
use url::Url;

use super::flow::Taken;
use super::requests::{client, is_safe};
use super::{CALLBACK, Oidc, Reason, Refusal};
use crate::clock::Clock;
use crate::config::Config;

/// No more of the file with the secret is read, in bytes.
const LONGEST_SECRET: u64 = 64 << 10;

/// Why nobody can log in by a provider.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OidcError {
    /// Something is missing.
    #[error("oidc-issuer is set and {setting} is not: {what}")]
    Lacks {
        /// The setting.
        setting: &'static str,
        /// What it would say.
        what: &'static str,
    },
    /// There is no provider.
    #[error("{setting} is set and oidc-issuer is not: name the provider, or leave it out")]
    NoIssuer {
        /// Which setting is of no use.
        setting: &'static str,
    },
    /// Browsers would be led back in plain words.
    #[error(
        "oidc-issuer: the provider would lead browsers back to {url}, where others read their codes: set `public-url` to the https \
         address that people reach this server by (plain http is for loopback alone)"
    )]
    Plain {
        /// The address.
        url: Url,
    },
    /// It isn't known where browsers find this server.
    #[error("oidc-issuer: the provider has to lead browsers back to this server: set `public-url` to the address that they reach it by")]
    NoAddress,
    /// An address is none.
    #[error("oidc-issuer: {0}")]
    Address(#[from] url::ParseError),
    /// The HTTP client.
    #[error("oidc-issuer: no HTTP client can be made")]
    Client(#[source] reqwest::Error),
}

impl Oidc {
    /// The provider that the settings name, if they name one.
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

    /// The client's secret as its file has it now.
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
