//! Headers that put a task of Celery below the current process.

use crate::Propagation;

/// Returns the headers of a message of Celery that put its task below the current process, in the same run. Empty if no process is current.
///
/// Add them to the headers of the message, in place of those with the same names. The value of `root_id` is a UUID, as Celery expects it; that
/// of `parent_id` has 16 hexadecimal digits. The server shows the task as soon as it records the cluster.
///
/// # Examples
///
/// ```
/// use std::collections::BTreeMap;
///
/// use monitor_client::task;
///
/// let mut headers = BTreeMap::from([("task", "shop.pay".to_owned()), ("id", "b1bd3060-b2ce-4b3f-9329-af43c819ddf7".to_owned())]);
/// headers.extend(task::celery_headers());
/// ```
pub fn celery_headers() -> Vec<(&'static str, String)> {
    let Propagation { root_id: Some(root), parent_id: Some(parent) } = Propagation::current() else { return Vec::new() };
    let uuid = [&root[..8], &root[8..12], &root[12..16], &root[16..20], &root[20..]].join("-");
    vec![("root_id", uuid), ("parent_id", parent)]
}
