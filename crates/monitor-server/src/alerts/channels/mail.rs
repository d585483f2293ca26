//! Channels that send mail by SMTP.

use std::path::Path;

use monitor_alerts::{ChannelKind, MailTls};
use monitor_notify::mail::lettre::address::Envelope;
use monitor_notify::mail::lettre::message::Mailbox;
use monitor_notify::mail::lettre::transport::smtp::authentication::Credentials;
use monitor_notify::mail::lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use monitor_notify::mail::lettre::{Address, AsyncSmtpTransport, Message, Tokio1Executor};
use monitor_store::cut::cut;

use super::{Letter, Undelivered};

/// First line of a certificate in a PEM file.
const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
/// Maximum size of a subject, in bytes.
const MOST_SUBJECT: usize = 300;

pub(super) async fn send(kind: &ChannelKind, password: Option<String>, letter: &Letter<'_>) -> Result<String, Undelivered> {
    let ChannelKind::Mail { server, tls, user, from, to, ca, .. } = kind else { return Err("no channel of mail".to_owned().into()) };
    if to.is_empty() && letter.message.address.is_none() {
        return Err("nobody is named whom the mail could go to: the channel has no `to`".to_owned().into());
    }
    let mail = mail(from, to, letter)?;
    let (host, port) = host_and_port(server, *tls)?;
    let parameters = || parameters(host, ca.as_deref());
    let tls = match tls {
        MailTls::Starttls => Tls::Required(parameters()?),
        MailTls::Tls => Tls::Wrapper(parameters()?),
        MailTls::None => Tls::None,
    };
    // The file defines the name.
    let address = if host == "localhost" && !Path::new("/etc/hosts").exists() { "127.0.0.1" } else { host };
    let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address).port(port).tls(tls);
    if let Some(user) = user {
        transport = transport.credentials(Credentials::new(user.clone(), password.unwrap_or_default()));
    }
    monitor_notify::mail::send(transport, mail).await.map_err(|error| format!("{server}: {error}").into())
}

/// Returns the TLS parameters. The mail server's certificate must be signed by an authority that the system trusts or, if `ca` is set, by
/// an authority in that file.
fn parameters(host: &str, ca: Option<&str>) -> Result<TlsParameters, String> {
    let mut parameters = TlsParameters::builder(host.to_owned());
    if let Some(file) = ca {
        let wrong = |error: &dyn std::fmt::Display| format!("ca: {file} has no certificates that can be read: {error}");
        let pem = std::fs::read(file).map_err(|error| wrong(&error))?;
        if !pem.windows(BEGIN.len()).any(|part| part == BEGIN) {
            return Err(wrong(&"there is no line -----BEGIN CERTIFICATE-----"));
        }
        let certificates = Certificate::from_pem(&pem).map_err(|error| wrong(&monitor_http::with_causes(&error)))?;
        parameters = parameters.certificate_store(CertificateStore::None).add_root_certificate(certificates);
    } else {
        for root in monitor_http::built_in_roots().filter_map(|root| Certificate::from_der(root.to_vec()).ok()) {
            parameters = parameters.add_root_certificate(root);
        }
    }
    parameters.build().map_err(|error| format!("TLS with {host}: {}", monitor_http::with_causes(&error)))
}

/// Returns host and port of a mail server. The default port depends on the kind of TLS.
fn host_and_port(server: &str, tls: MailTls) -> Result<(&str, u16), String> {
    let usual = match tls {
        MailTls::Starttls => 587,
        MailTls::Tls => 465,
        MailTls::None => 25,
    };
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, port.parse().map_err(|_| format!("server: {server:?} has no port after its `:`"))?)
        }
        _ => (server, usual),
    };
    Ok((host.trim_matches(['[', ']']), port))
}

/// Creates the mail. Without any address, its envelope contains only the sender, and the program that sends it determines the recipients.
pub(super) fn mail(from: &str, to: &[String], letter: &Letter<'_>) -> Result<Message, String> {
    let message = letter.message;
    let address = |text: &str| text.parse::<Address>().map_err(|error| format!("{text:?} is no address: {error}"));
    let sender = address(from)?;
    let host = sender.domain().to_owned();
    let to = message.address.as_ref().map_or(to, std::slice::from_ref);
    // The id is the same for each attempt. All mails of an alert refer to one id that no mail has, so that mail clients show them as one
    // thread.
    let id =
        |text: &str| format!("<{}@{host}>", text.chars().filter(|c| c.is_ascii_alphanumeric() || ".-_".contains(*c)).collect::<String>());
    let from = Mailbox::new(Some("Process Monitor".to_owned()), sender.clone());
    let addresses = to.iter().map(|to| Ok(Mailbox::new(None, address(to)?))).collect::<Result<Vec<_>, String>>()?;
    let mut builder = monitor_notify::mail::begin(from, addresses, cut(&letter.text.title, MOST_SUBJECT)).message_id(Some(id(&message.id)));
    if to.is_empty() {
        let envelope = Envelope::new(Some(sender.clone()), vec![sender]).map_err(|error| error.to_string())?;
        builder = builder.envelope(envelope);
    }
    if message.alert != 0 {
        let thread = id(&format!("alert-{}", message.alert));
        builder = builder.in_reply_to(thread.clone()).references(thread);
    }
    builder.body(letter.text.plain()).map_err(|error| format!("the mail can't be made: {error}"))
}
