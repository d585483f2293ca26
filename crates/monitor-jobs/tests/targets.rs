//! Selection of hosts, and the preview of a job.

use monitor_jobs::{Contact, Contacts, Inventory, Target, check_saved, preview, select};
use monitor_wire::{HostDefinition, IpTarget, JobRequest, Rolling, Targets};

const NOW: u64 = 1_000_000_000_000;
const SECOND: u64 = 1_000_000;

fn hosts() -> Vec<(u64, HostDefinition)> {
    let host = |id, name: &str, ip: &str, tags: &[(&str, &str)], groups: &[&str]| {
        let definition = HostDefinition {
            name: name.to_owned(),
            ip: Some(ip.to_owned()),
            ipv6: Some(format!("fd00::{id}")),
            cloud_id: u64::from(id == 3),
            tags: tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..HostDefinition::default()
        };
        (id, definition)
    };
    vec![
        host(3, "db-1", "10.0.0.1", &[("env", "prod")], &["db"]),
        host(1, "web-1", "10.0.0.1", &[("env", "prod"), ("canary", "")], &["web"]),
        host(2, "web-2", "10.0.0.2", &[("env", "test")], &["web"]),
    ]
}

fn inventory() -> Inventory {
    let saved = [
        ("web", Targets { hosts: texts(&["web-*", "gone"]), ..Targets::default() }),
        ("prod", Targets { tags: Some("env=prod".to_owned()), ..Targets::default() }),
        ("dev", Targets { hosts: texts(&["dev-*"]), ..Targets::default() }),
    ];
    Inventory::new(hosts(), saved.map(|(name, targets)| (name.to_owned(), targets)).into())
}

fn names(targets: &Targets) -> Result<Vec<String>, Vec<String>> {
    let name = |target: Target| target.host_id.map_or_else(|| format!("?{}", target.name), |id| format!("{id} {}", target.name));
    select(targets, &inventory()).map(|selected| selected.into_iter().map(name).collect())
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn each_host_is_selected_once_and_unknown_targets_are_kept() {
    let ip = |ip: &str, cloud_id| IpTarget { ip: ip.to_owned(), cloud_id };
    let targets = Targets {
        hosts: texts(&["web-2", "web-*", "3", "nobody", "nobody"]),
        ips: vec![ip("10.0.0.1", 0), ip("10.0.0.1", 1), ip("10.0.0.9", 0), ip("FD00::2", 0)],
        groups: texts(&["web", "none"]),
        ..Targets::default()
    };
    assert_eq!(names(&targets).unwrap(), ["2 web-2", "1 web-1", "3 db-1", "?nobody", "?10.0.0.9", "?none"]);
    let tags = |tags: &str, hosts: &[&str]| names(&Targets { tags: Some(tags.to_owned()), hosts: texts(hosts), ..Targets::default() });
    assert_eq!(tags("env=prod", &[]).unwrap(), ["3 db-1", "1 web-1"]);
    assert_eq!(tags("env=prod,!canary", &[]).unwrap(), ["3 db-1"]);
    assert_eq!(tags("canary", &[]).unwrap(), ["1 web-1"]);
    assert_eq!(tags("!env=prod", &["web-?", "gone"]).unwrap(), ["2 web-2", "?gone"]);
}

#[test]
fn saved_targets_add_their_hosts_to_the_selection() {
    let saved = |saved: &[&str], tags: Option<&str>| {
        names(&Targets {
            saved: texts(saved),
            tags: tags.map(str::to_owned),
            hosts: texts(&["2"][..usize::from(tags.is_none())]),
            ..Targets::default()
        })
    };
    assert_eq!(saved(&["prod", "web", " prod "], None).unwrap(), ["2 web-2", "3 db-1", "1 web-1", "?gone"]);
    // Conditions of the request select among the saved targets.
    assert_eq!(saved(&["web"], Some("!canary")).unwrap(), ["2 web-2", "?gone"]);
    assert_eq!(saved(&["nothing"], None).unwrap(), ["2 web-2", "?nothing"]);
    assert_eq!(saved(&["dev"], None).unwrap_err(), ["targets.saved[0]: `dev`: targets.hosts[0]: no host's name matches `dev-*`"]);
}

#[test]
fn targets_are_saved_before_their_hosts_exist_but_not_with_mistakes() {
    let later = Targets { hosts: texts(&["dev-*", "dev"]), groups: texts(&["dev"]), ..Targets::default() };
    assert_eq!(check_saved(&later), Ok(()));
    let wrong = Targets { hosts: texts(&[""]), tags: Some("!".to_owned()), saved: texts(&["web"]), ..Targets::default() };
    let mistakes = check_saved(&wrong).unwrap_err();
    let places: Vec<&str> = mistakes.iter().map(|mistake| mistake.split(':').next().unwrap()).collect();
    assert_eq!(places, ["hosts[0]", "tags", "saved"], "{mistakes:?}");
    assert!(check_saved(&Targets::default()).unwrap_err()[0].contains("give `hosts`"));
}

#[test]
fn mistakes_in_targets_are_listed_with_their_places() {
    let targets = Targets {
        hosts: texts(&["db-[1]*", ""]),
        ips: vec![IpTarget { ip: "10.0.0".to_owned(), cloud_id: 0 }],
        groups: texts(&[" ", &"x".repeat(256), "a\nb"]),
        tags: Some("env=prod,,x".to_owned()),
        saved: texts(&[""]),
    };
    let mistakes = names(&targets).unwrap_err();
    let places: Vec<&str> = mistakes.iter().map(|mistake| mistake.split(':').next().unwrap()).collect();
    assert_eq!(
        places,
        [
            "targets.hosts[1]",
            "targets.groups[0]",
            "targets.groups[1]",
            "targets.groups[2]",
            "targets.saved[0]",
            "targets.ips[0]",
            "targets.tags",
            "targets.hosts[0]",
        ]
    );
    assert!(names(&Targets::default()).unwrap_err()[0].contains("give `hosts`, `ips`, `groups`, `tags` or `saved`"));
    let many = Targets { hosts: vec!["h".to_owned(); 100_001], ..Targets::default() };
    assert_eq!(names(&many).unwrap_err().len(), 1);
    let nobody = Targets { tags: Some("env=dev".to_owned()), ..Targets::default() };
    assert!(names(&nobody).unwrap_err()[0].contains("no host satisfies"));
}

#[test]
fn a_preview_lists_hosts_that_cannot_run_with_reasons() {
    let targets = select(&Targets { hosts: texts(&["web-*", "db-1", "gone"]), ..Targets::default() }, &inventory()).unwrap();
    let met = |last_us| Contact { has_agent: true, last_us, ..Contact::default() };
    let mut contacts = Contacts::from([(1, met(NOW)), (2, met(NOW - 60 * SECOND))]);
    let rolling = Rolling { expression: "1".to_owned(), ..Rolling::default() };
    let request = JobRequest { rolling: Some(rolling), account: Some("app".to_owned()), ..JobRequest::default() };
    let first = preview(NOW, &targets, &request, &contacts);
    assert_eq!(first.able.iter().map(|host| host.name.as_str()).collect::<Vec<_>>(), ["web-1"]);
    let reasons: Vec<&str> = first.unable.iter().map(|host| host.reason.as_deref().unwrap()).collect();
    assert!(reasons[0].contains("for 60 s") && reasons[1].contains("no agent") && reasons[2].contains("no such host"), "{reasons:?}");
    assert_eq!(first.batches, [1, 1]);
    contacts.insert(1, Contact { lacks_account: true, ..met(NOW) });
    let second = preview(NOW, &targets, &request, &contacts);
    assert!(second.able.is_empty() && second.unable[0].reason.as_deref().unwrap().contains("no account \"app\""), "{second:?}");
    assert_eq!(second.batches, [1, 1]);
}
