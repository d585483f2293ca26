//! Alerts: `/api/v1/alerts`.

pub(super) mod act;
pub(super) mod channels;
pub(super) mod hushes;
pub(super) mod list;
pub(super) mod rules;
mod show;
pub(super) mod trials;

use super::problem::ApiError;

fn no_alert(id: &str) -> ApiError {
    let id: String = id.chars().take(40).collect();
    ApiError::Missing { detail: format!("there is no alert {id}: `GET /api/v1/alerts` lists those that there are") }
}
