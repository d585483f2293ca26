//! Failed logins through a provider, with texts for the user and for the operator.

use std::fmt;

use openidconnect::ClaimsVerificationError;

/// Failed login.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    /// Details from a library or the provider. May be empty.
    pub(crate) detail: String,
}

/// Reason of a failed login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The provider can't be reached, or does not respond as a provider.
    Away,
    /// The provider has refused the user.
    Denied,
    /// The response belongs to another browser, or to a login that is too old.
    Stranger,
    /// The response was received before.
    Replayed,
    /// The provider refuses the server's request for tokens.
    Refused,
    /// The file with the client secret can't be read.
    Secret,
    /// The token was issued for another client.
    Audience,
    /// The token has expired.
    Expired,
    /// The token is not signed by a key of the provider.
    Signature,
    /// The token belongs to another login.
    Nonce,
    /// The token is invalid, or from another provider.
    Token,
    /// No group of the user may log in.
    NoRole,
}

impl Refusal {
    pub(super) fn new(reason: Reason, detail: impl fmt::Display) -> Self {
        // The text is shortened: it may be long, and callers can forge a response of the provider.
        let shown = detail.to_string().chars().take(500).map(|c| if c.is_control() { ' ' } else { c }).collect();
        Self { reason, detail: shown }
    }

    /// Converts the error of a token that can't be trusted.
    pub(super) fn of_token(error: &ClaimsVerificationError) -> Self {
        let reason = match error {
            ClaimsVerificationError::Expired(_) => Reason::Expired,
            ClaimsVerificationError::InvalidAudience(_) => Reason::Audience,
            ClaimsVerificationError::InvalidNonce(_) => Reason::Nonce,
            ClaimsVerificationError::SignatureVerification(_) => Reason::Signature,
            _ => Reason::Token,
        };
        Self::new(reason, monitor_http::with_causes(error))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [words, _] = self.reason.words();
        f.write_str(words.trim_end_matches('.'))?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, " ({})", self.detail) }
    }
}

impl Reason {
    /// Returns the text in English and in Chinese.
    pub(crate) fn words(self) -> [&'static str; 2] {
        match self {
            Self::Away => [
                "The login provider is unreachable: try again in a moment, or log in with a password.",
                "无法连接登录提供方：请稍后重试，或使用密码登录。",
            ],
            Self::Denied => ["The login provider has denied access.", "登录提供方拒绝了您的登录。"],
            Self::Stranger => [
                "This login was started in another browser or at another address, or more than ten minutes ago: log in again here.",
                "此登录是在另一浏览器或另一地址发起的，或已超过十分钟：请在此重新登录。",
            ],
            Self::Replayed => ["This login has already been used: log in again.", "此登录已被使用：请重新登录。"],
            Self::Refused => [
                "The login provider has issued no token: log in again. If that fails, the client's settings at the provider differ from this server's.",
                "登录提供方未为此登录签发令牌：请重新登录；若仍然失败，则该提供方处的客户端设置与本服务器不一致。",
            ],
            Self::Secret => [
                "The server can't read its client secret: its administrator finds the cause in the log.",
                "服务器无法读取其客户端密钥：服务器管理员可在日志中查看原因。",
            ],
            Self::Audience => ["The login provider's token was not issued for this server.", "登录提供方的令牌不是签发给本服务器的。"],
            Self::Expired => {
                ["The login provider's token has expired: the clocks may differ.", "登录提供方的令牌已过期：两台机器的时钟可能不一致。"]
            }
            Self::Signature => {
                ["The login provider's token is not signed with one of its published keys.", "登录提供方的令牌并非由其公布的密钥签名。"]
            }
            Self::Nonce => {
                ["The login provider's token belongs to another login: log in again.", "登录提供方的令牌属于另一次登录：请重新登录。"]
            }
            Self::Token => ["The login provider's token can't be trusted.", "登录提供方的令牌不可信。"],
            Self::NoRole => [
                "The login provider knows you, but none of your groups has access: ask the server's administrator.",
                "登录提供方认识您，但您所在的组均无权访问：请联系服务器管理员。",
            ],
        }
    }
}
