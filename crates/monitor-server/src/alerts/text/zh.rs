//! Chinese texts of messages.

use monitor_alerts::{Cause, Message, MessageKind, PublishedChange, SubjectKind};
use monitor_tasks::EndReason;

use super::{Change, Exit, Labels, Words};

pub(super) const WORDS: Words = Words { labels: &LABELS, matter, title, exit, change, closing };

const LABELS: Labels = Labels {
    path: "任务",
    heartbeat: "心跳",
    job: "作业",
    agent: "代理",
    worker: "工作进程",
    subject: "对象",
    run: "执行",
    machine: "机器",
    program: "程序",
    due: "应开始于",
    started: "开始于",
    ended: "结束于",
    took: "耗时",
    usual: "通常",
    limit: "上限",
    exit_code: "退出码",
    signal: "信号",
    error: "原因",
    notice: "内容",
    good: "上次成功",
    changes: "自上次成功以来的变化",
    times: "次数",
    names: "涉及",
    since: "自",
    until: "至",
    note: "备注",
    told: "已通知",
    rule: "规则",
    link: "查看",
};

fn matter(cause: Cause, name: &str, message: &Message) -> String {
    let all = if message.subjects > 1 { format!("{name} 等 {} 个", message.subjects) } else { name.to_owned() };
    let often = |what: &str| match message.count {
        count if count <= message.subjects.max(1) => format!("{all} {what}"),
        count if message.subjects > 1 => format!("{all} {what}，共 {count} 次"),
        count => format!("{all} {what} {count} 次"),
    };
    if message.subject.kind == SubjectKind::Job {
        return match cause {
            Cause::Timeout => format!("作业 {all} 超时"),
            Cause::Lost => format!("作业 {all} 有 {} 台主机失联", message.count),
            _ => format!("作业 {}", often("失败")),
        };
    }
    match cause {
        Cause::Failed => match (message.facts.times, message.facts.calls) {
            (Some(failed), Some(calls)) if message.subjects <= 1 => format!("{name} {calls} 次调用中 {failed} 次失败"),
            _ => often("失败"),
        },
        Cause::Timeout => format!("{all} 运行超时"),
        Cause::Missed => often("到时未执行"),
        Cause::Unknown => format!("{all} 失去联系"),
        Cause::Late => format!("{all} 延迟开始"),
        Cause::Skipped => often("被跳过"),
        Cause::Deleted => format!("{all} 已被删除或长时间暂停"),
        Cause::Notified => format!("{all} 发出通知"),
        Cause::Slow => format!("{all} 运行时间远超平常"),
        Cause::Fast => format!("{all} 运行时间远短于平常"),
        Cause::Lost => format!("{all} 的结束无人得知"),
        Cause::Drops => format!("{all} 的事件有丢失"),
        Cause::Disk => "监控服务器磁盘已满".to_owned(),
        Cause::Settings => format!("{name} 有错误，沿用上一个正确的版本"),
        Cause::Channel => format!("渠道 {all} 无法送达消息"),
    }
}

fn title(message: &Message, matter: &str, outage: &str) -> String {
    match message.kind {
        MessageKind::Fired => matter.to_owned(),
        MessageKind::Updated => format!("更新：{matter}"),
        MessageKind::Resolved => format!("已恢复：{matter}（{outage}）"),
        MessageKind::Reminded => format!("仍在持续（自 {outage}）：{matter}"),
        MessageKind::Escalated => format!("尚无人确认：{matter}"),
        MessageKind::Sum => format!("另有 {} 条消息被合并", message.count),
        MessageKind::Test => "测试：Process Monitor 的消息可以送达这里".to_owned(),
    }
}

fn exit(exit: Exit<'_>) -> String {
    match exit {
        Exit::Signal("SIGKILL") => "被 SIGKILL 终止，可能内存不足".to_owned(),
        Exit::Signal("SIGABRT") => "异常中止：SIGABRT".to_owned(),
        Exit::Signal(name @ ("SIGSEGV" | "SIGBUS" | "SIGILL" | "SIGFPE")) => format!("崩溃：{name}"),
        Exit::Signal(name) => format!("被 {name} 终止"),
        Exit::Task(word) => format!("任务定义为 {word}"),
        Exit::Reason(reason) => match reason {
            EndReason::Signal => "被信号终止",
            EndReason::Hook => "钩子失败",
            EndReason::Expectation => "未达到预期",
            EndReason::Killed => "被人或下一次运行终止",
            EndReason::KillAfter => "超过 kill-after 被终止",
            EndReason::Lost => "结束情况不明",
            EndReason::Publishing => "文件未能保存",
            EndReason::Memory => "内存超限",
            EndReason::Cpu => "处理器时间超限",
            EndReason::NotStarted => "命令无法启动",
            EndReason::NotExecutable => "命令无法执行",
            EndReason::NotFound => "找不到命令",
        }
        .to_owned(),
    }
}

fn change(change: &Change<'_>) -> String {
    match change {
        Change::Version(was, is) => format!("版本 {was} 变为 {is}"),
        Change::Same(version) => format!("定义未变（版本 {version}）"),
        Change::Line(line) => (*line).to_owned(),
        Change::Published(PublishedChange { target, was, is: None }) => format!("未发布到 {target}（上次 {was} 个文件）"),
        Change::Published(PublishedChange { target, was, is: Some(is) }) => format!("向 {target} 发布 {is} 个文件，上次为 {was} 个"),
        Change::Took(is, was) => format!("耗时 {is}，上次为 {was}"),
        Change::NewError => "错误首次出现".to_owned(),
        Change::Seen(then) => format!("与 {then} 的错误相同"),
    }
}

fn closing(alert: u64) -> String {
    format!("确认：monitor alert ack {alert} · 静默：monitor alert snooze {alert} --for 2h")
}
