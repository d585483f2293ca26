//! Limit on the memory that large responses use together until they are sent.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::ApiError;

/// Time that a request waits for free memory before it is refused.
const PATIENCE: Duration = Duration::from_secs(5);

/// Shared memory budget of responses that are built completely before they are sent.
#[derive(Debug, Clone)]
pub(super) struct Answers {
    kibibytes: Arc<Semaphore>,
    most: u32,
}

/// Share of a response in the budget. It is returned on drop.
#[derive(Debug)]
pub(super) struct Room(OwnedSemaphorePermit);

impl Answers {
    pub(super) fn new(max_bytes: usize) -> Self {
        let most =
            u32::try_from(max_bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX).min(Semaphore::MAX_PERMITS.try_into().unwrap_or(u32::MAX));
        Self { kibibytes: Arc::new(Semaphore::new(most as usize)), most }
    }

    /// Reserves memory for about `bytes` bytes. Requests are served in their order of arrival. A request for more than the whole budget
    /// waits until it can have all of it, and so runs alone.
    pub(super) async fn room(&self, bytes: usize) -> Result<Room, ApiError> {
        let kibibytes = u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX).min(self.most);
        let room = tokio::time::timeout(PATIENCE, self.kibibytes.clone().acquire_many_owned(kibibytes)).await;
        let too_many = || ApiError::TooManyAnswers {
            detail: "others read as much as the setting `max-answer-bytes` allows: ask again after the seconds in `Retry-After`".to_owned(),
        };
        Ok(Room(room.ok().and_then(Result::ok).ok_or_else(too_many)?))
    }
}

impl Room {
    /// Returns the part of the reservation that a response of `bytes` bytes does not need.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let surplus = self.0.num_permits().saturating_sub(bytes.div_ceil(1 << 10));
        drop(self.0.split(surplus));
    }

    /// Turns the bytes into a body that keeps the reservation until it is sent.
    pub(super) fn body(mut self, bytes: Vec<u8>) -> Body {
        struct Held {
            bytes: Vec<u8>,
            _room: Room,
        }
        impl AsRef<[u8]> for Held {
            fn as_ref(&self) -> &[u8] {
                &self.bytes
            }
        }
        self.shrink(bytes.len());
        Body::from(Bytes::from_owner(Held { bytes, _room: self }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn answers_share_a_memory_budget_until_they_are_sent() {
        let answers = Answers::new(10 << 10);
        let mut one = answers.room(8 << 10).await.unwrap();
        assert!(matches!(answers.room(3 << 10).await, Err(ApiError::TooManyAnswers { .. })));
        one.shrink(7 << 10);
        let other = answers.room(3 << 10).await.unwrap();
        drop((one, other));
        let body = answers.room(1 << 30).await.unwrap().body(vec![0; 9 << 10]);
        assert!(answers.room(2 << 10).await.is_err(), "{body:?}");
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        assert!(answers.room(2 << 10).await.is_err(), "{} bytes are still there", bytes.len());
        drop(bytes);
        answers.room(10 << 10).await.unwrap();
    }
}
