//! Calls of one name below one process, counted together.

use serde::{Deserialize, Serialize};

/// What a fold stands for, all shards together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Fold {
    /// How many began.
    pub count: u64,
    /// How many still run.
    pub running: u64,
    /// How many failed.
    pub failed: u64,
    /// How many were cancelled.
    pub cancelled: u64,
    /// All durations together.
    pub total_ns: u64,
    /// The shortest.
    pub min_ns: Option<u64>,
    /// The longest.
    pub max_ns: Option<u64>,
    /// `[[i, count], …]`, bucket i = [1.04^i, 1.04^(i+1)) ns.
    pub histogram: Vec<(u32, u64)>,
    /// Distinct error texts of the failed calls, up to 100, the earliest first. Further failures are counted in `failed` alone.
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
    /// End of the first of them, in Unix microseconds.
    pub first_us: u64,
    /// End of the last of them, in Unix microseconds.
    pub last_us: u64,
}

impl Fold {
    /// Maximum number of texts in `errors`.
    pub const MAX_ERRORS: usize = 100;

    /// The duration that this part of those which ended stayed below, in nanoseconds, with an error of at most 2 %: 0.95 for
    /// p95. None if none ended.
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

/// The duration that this part of a histogram stayed below, with an error of at most 2 %; `bounds` are the shortest and the longest.
/// None if the histogram is empty.
pub fn quantile_ns(histogram: impl Iterator<Item = (u32, u64)> + Clone, bounds: (u64, u64), part: f64) -> Option<u64> {
    let ended: u64 = histogram.clone().map(|(_, count)| count).sum();
    let rank = ((part * ended as f64).ceil() as u64).max(1);
    let mut before = 0;
    let (bucket, _) = histogram.into_iter().find(|(_, count)| {
        before += count;
        before >= rank
    })?;
    // In the middle of its bucket, as far as growth goes.
    let middle = 1.04_f64.powf(f64::from(bucket) + 0.5) as u64;
    Some(middle.max(bounds.0).min(bounds.1))
}
