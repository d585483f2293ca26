//! Texts of the plain pages, by language.

/// Texts in a language. Each is HTML.
#[derive(Debug)]
pub(super) struct Words {
    pub(super) language: &'static str,
    pub(super) tasks: &'static str,
    pub(super) all: &'static str,
    pub(super) search: &'static str,
    pub(super) none: &'static str,
    pub(super) more: &'static str,
    pub(super) problem: &'static str,
    pub(super) state: &'static str,
    pub(super) task: &'static str,
    pub(super) started: &'static str,
    pub(super) took: &'static str,
    pub(super) processes: &'static str,
    pub(super) process: &'static str,
    pub(super) path: &'static str,
    pub(super) caused_by: &'static str,
    pub(super) tree: &'static str,
    pub(super) missing: &'static str,
    pub(super) deep: &'static str,
    pub(super) unnamed: &'static str,
    pub(super) orphan: &'static str,
    pub(super) pending: &'static str,
    pub(super) running: &'static str,
    pub(super) succeeded: &'static str,
    pub(super) failed: &'static str,
    pub(super) cancelled: &'static str,
    pub(super) lost: &'static str,
    pub(super) retrying: &'static str,
}

const ENGLISH: Words = Words {
    language: "en",
    tasks: "Runs",
    all: "All runs",
    search: "Search",
    none: "No runs match.",
    more: "More",
    problem: "This could not be shown",
    state: "State",
    task: "Run",
    started: "Started",
    took: "Duration",
    processes: "Processes",
    process: "Process",
    path: "Why it failed",
    caused_by: "caused by",
    tree: "Tree",
    missing: "Missing data",
    deep: "Too deep, shown directly below the run",
    unnamed: "(no name yet)",
    orphan: "parent unknown",
    pending: "pending",
    running: "running",
    succeeded: "succeeded",
    failed: "failed",
    cancelled: "cancelled",
    lost: "lost",
    retrying: "retrying",
};

const CHINESE: Words = Words {
    language: "zh-Hans",
    tasks: "运行",
    all: "所有运行",
    search: "搜索",
    none: "没有匹配的运行。",
    more: "更多",
    problem: "无法显示",
    state: "状态",
    task: "运行",
    started: "开始",
    took: "耗时",
    processes: "过程",
    process: "过程",
    path: "失败原因",
    caused_by: "原因",
    tree: "树",
    missing: "缺少的数据",
    deep: "层级过深，直接显示在运行之下",
    unnamed: "（尚无名称）",
    orphan: "父过程未知",
    pending: "等待",
    running: "运行中",
    succeeded: "成功",
    failed: "失败",
    cancelled: "已取消",
    lost: "失联",
    retrying: "等待重试",
};

impl Words {
    /// Returns the texts of the first supported language in an `Accept-Language` header.
    pub(super) fn of(accepted: &str) -> &'static Self {
        for language in accepted.split(',') {
            match language.trim().get(..2) {
                Some("zh") => return &CHINESE,
                Some("en") => return &ENGLISH,
                _ => {}
            }
        }
        &ENGLISH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_supported_language_is_used() {
        for (accepted, language) in
            [("", "en"), ("zh-CN,zh;q=0.9", "zh-Hans"), ("fr, zh;q=0.5, en;q=0.1", "zh-Hans"), ("en-GB,zh", "en"), ("é", "en")]
        {
            assert_eq!(Words::of(accepted).language, language, "{accepted}");
        }
    }
}
