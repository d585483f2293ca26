//! Predicts which hosts of a job can run it.

use monitor_wire::{JobPreview, JobRequest, PreviewedHost};

use crate::plan::{CONTACT_US, Contacts, no_account};
use crate::rolling::batch_sizes;
use crate::state::Target;

/// Returns the hosts that can run a job now, the others with their reasons, and the sizes of the batches. Hosts whose agents are silent
/// and those without the account are in the batches, as in [`plan`](crate::plan); they are ended when their turn comes.
#[must_use]
pub fn preview(now_us: u64, targets: &[Target], request: &JobRequest, contacts: &Contacts) -> JobPreview {
    let mut preview = JobPreview::default();
    let mut in_batches = 0;
    for target in targets {
        let contact = target.host_id.map(|id| contacts.get(&id).copied().unwrap_or_default());
        let reason = match contact {
            None => Some("There is no such host. Add it, or correct the target.".to_owned()),
            Some(contact) if !contact.has_agent => Some("The host has no agent. Install one and let it join this server.".to_owned()),
            Some(contact) => {
                in_batches += 1;
                if contact.lacks_account {
                    Some(no_account(request))
                } else {
                    let silent_us = now_us.saturating_sub(contact.last_us);
                    (silent_us > CONTACT_US).then(|| format!("The agent has had no contact to the server for {} s.", silent_us / 1_000_000))
                }
            }
        };
        let hosts = if reason.is_none() { &mut preview.able } else { &mut preview.unable };
        hosts.push(PreviewedHost { host_id: target.host_id, name: target.name.clone(), reason });
    }
    preview.batches = batch_sizes(request.rolling.as_ref(), in_batches);
    preview
}
