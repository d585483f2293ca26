//! Folds: calls with the same name and parent, reported as counts.

use serde::{Deserialize, Serialize};

/// Counts and durations of a fold, summed over all shards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Fold {
    /// Number of calls started.
    pub count: u64,
    /// Number of calls that are still running.
    pub running: u64,
    /// Number of calls that failed.
    pub failed: u64,
    /// Number of calls that were cancelled.
    pub cancelled: u64,
    /// Sum of all durations, in nanoseconds.
    pub total_ns: u64,
    /// Shortest duration, in nanoseconds. None if no call has ended.
    pub min_ns: Option<u64>,
    /// Longest duration, in nanoseconds. None if no call has ended.
    pub max_ns: Option<u64>,
    /// Histogram of durations: `[[i, count], …]`, bucket i = [1.04^i, 1.04^(i+1)) ns.
    pub histogram: Vec<(u32, u64)>,
    /// Distinct error texts of the failed calls, up to 100, the earliest first. Further failures are only counted in `failed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FoldError>,
}

/// Failures of a fold whose messages differ only in numbers, ids and quoted parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FoldError {
    /// The message, with `…` in place of numbers, ids and quoted parts.
    pub text: String,
    /// Number of failures with this text.
    pub count: u64,
    /// End time of the first failure, in Unix microseconds.
    pub first_us: u64,
    /// End time of the last failure, in Unix microseconds.
    pub last_us: u64,
}

impl Fold {
    /// Maximum number of entries in `errors`.
    pub const MAX_ERRORS: usize = 100;

    /// Returns a quantile of the durations of ended calls, in nanoseconds, with an error of at most 2 %. `part` is 0.95 for p95. Returns `None`
    /// if no call has ended.
    ///
    /// ```
    /// # let fold = serde_json::json!({"count": 3, "running": 0, "failed": 0, "cancelled": 0, "total_ns": 1300,
    /// #     "min_ns": 100, "max_ns": 1000, "histogram": [[117, 2], [176, 1]]});
    /// # let fold: monitor_wire::Fold = serde_json::from_value(fold).unwrap();
    /// assert_eq!((fold.quantile_ns(0.5), fold.quantile_ns(0.95)), (Some(100), Some(1_000)));
    /// ```
    pub fn quantile_ns(&self, part: f64) -> Option<u64> {
        let bounds = (self.min_ns.unwrap_or(0), self.max_ns.unwrap_or(u64::MAX));
        quantile_ns(self.histogram.iter().copied(), bounds, part)
    }
}

/// Returns a quantile of the durations in a histogram, in nanoseconds, with an error of at most 2 %. `bounds` contains the shortest and the
/// longest duration. Returns `None` if the histogram is empty.
pub fn quantile_ns(histogram: impl Iterator<Item = (u32, u64)> + Clone, bounds: (u64, u64), part: f64) -> Option<u64> {
    let ended: u64 = histogram.clone().map(|(_, count)| count).sum();
    let rank = ((part * ended as f64).ceil() as u64).max(1);
    let mut before = 0;
    let (bucket, _) = histogram.into_iter().find(|(_, count)| {
        before += count;
        before >= rank
    })?;
    // Geometric middle of the bucket.
    let middle = 1.04_f64.powf(f64::from(bucket) + 0.5) as u64;
    Some(middle.max(bounds.0).min(bounds.1))
}
