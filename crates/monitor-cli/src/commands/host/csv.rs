//! Hosts in a CSV file with a row of column names.

use std::net::IpAddr;

use csv::{ReaderBuilder, StringRecord, Trim};
use monitor_wire::HostDefinition;

use super::import::{Content, set_address};
use super::read_tag;

const COLUMNS: [&str; 7] = ["name", "ip", "ipv6", "cloud_id", "groups", "accounts", "tags"];

pub(super) fn read(text: &str) -> Content {
    let mut content = Content::default();
    // The number of fields is checked here, because the reader's own message contains the number of a byte.
    let mut reader = ReaderBuilder::new().trim(Trim::All).comment(Some(b'#')).flexible(true).from_reader(text.as_bytes());
    let columns: Vec<String> = match reader.headers() {
        Ok(columns) => columns.iter().map(str::to_ascii_lowercase).collect(),
        Err(error) => {
            content.mistake(1, error.to_string());
            return content;
        }
    };
    let first = line_of(text, None);
    for (at, column) in columns.iter().enumerate() {
        if !COLUMNS.contains(&column.as_str()) {
            content.mistake(first, format!("there is no column {column:?}: expected {}", COLUMNS.join(", ")));
        } else if columns[..at].contains(column) {
            content.mistake(first, format!("there are two columns {column:?}"));
        }
    }
    if !columns.iter().any(|column| column == "name") {
        content.mistake(first, "there is no column \"name\"");
    }
    if !content.mistakes.is_empty() {
        return content;
    }
    content.has_cloud_ids = columns.iter().any(|column| column == "cloud_id");
    for row in reader.into_records() {
        match row {
            Ok(row) => read_row(&columns, &row, line_of(text, row.position()), &mut content),
            Err(error) => {
                let line = line_of(text, error.position());
                content.mistake(line, error.to_string());
                break;
            }
        }
    }
    content
}

/// Returns the number of the line at which a row begins. The reader's position is before the empty lines and comments that precede the row.
fn line_of(text: &str, position: Option<&csv::Position>) -> u64 {
    let byte = position.map_or(0, |position| position.byte() as usize).min(text.len());
    let is_skipped = |line: &&str| line.is_empty() || line.starts_with('#');
    let (before, after) = text.split_at_checked(byte).unwrap_or((text, ""));
    (1 + before.matches('\n').count() + after.lines().take_while(is_skipped).count()) as u64
}

fn read_row(columns: &[String], row: &StringRecord, line: u64, content: &mut Content) {
    if row.len() > columns.len() {
        content.mistake(line, format!("there are {} fields, and only {} columns; quote fields with commas", row.len(), columns.len()));
        return;
    }
    let mut definition = HostDefinition::default();
    for (column, value) in columns.iter().zip(row).filter(|(_, value)| !value.is_empty()) {
        let parts = || value.split(';').map(str::trim).filter(|part| !part.is_empty());
        match column.as_str() {
            "name" => value.clone_into(&mut definition.name),
            "ip" | "ipv6" => match value.parse::<IpAddr>() {
                Ok(ip) => set_address(&mut definition, ip),
                Err(_) => content.mistake(line, format!("{value:?} in column {column:?} is not an IP address")),
            },
            "cloud_id" => match value.parse() {
                Ok(id) => definition.cloud_id = id,
                Err(_) => content.mistake(line, format!("{value:?} in column \"cloud_id\" is not a number")),
            },
            "groups" => definition.groups = parts().map(str::to_owned).collect(),
            "accounts" => definition.accounts = parts().map(str::to_owned).collect(),
            _ => {
                for tag in parts() {
                    match read_tag(tag) {
                        Ok((name, value)) => _ = definition.tags.insert(name, value),
                        Err(text) => content.mistake(line, text),
                    }
                }
            }
        }
    }
    content.host(line, definition);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::host::import::Mistake;

    #[test]
    fn columns_have_any_order_and_quoted_fields() {
        let text = "# hosts of the shop\nip,Name,tags,groups,accounts\n10.0.0.7, web-1 ,\"env=prod; canary\",web;eu,app; db\n\nfd00::8,web-2,,\n,web-3\n";
        let content = read(text);
        assert!(content.mistakes.is_empty() && !content.has_cloud_ids, "{content:?}");
        let [first, second, third] = &content.hosts[..] else { panic!("{content:?}") };
        assert_eq!((first.line, &*first.definition.name, first.definition.ip.as_deref()), (3, "web-1", Some("10.0.0.7")));
        assert_eq!(first.definition.tags, [("env".into(), "prod".into()), ("canary".into(), String::new())].into());
        assert_eq!(first.definition.groups, ["web", "eu"]);
        assert_eq!(first.definition.accounts, ["app", "db"]);
        assert_eq!((second.line, second.definition.ipv6.as_deref(), second.definition.ip.as_deref()), (5, Some("fd00::8"), None));
        assert_eq!((third.line, &*third.definition.name), (6, "web-3"));
        assert!(read("name,cloud_id\na,3\n").has_cloud_ids);
    }

    #[test]
    fn each_mistake_names_its_line() {
        let mistakes = |text: &str| read(text).mistakes;
        let one = |line, text: &str| vec![Mistake { line, text: text.to_owned() }];
        assert_eq!(mistakes("name,ip\na,10.0.0.256\n"), one(2, "\"10.0.0.256\" in column \"ip\" is not an IP address"));
        assert_eq!(mistakes("name,cloud_id\na,\nb,x\n"), one(3, "\"x\" in column \"cloud_id\" is not a number"));
        assert_eq!(mistakes("name,ip\na,10.0.0.1,x\n"), one(2, "there are 3 fields, and only 2 columns; quote fields with commas"));
        assert_eq!(
            mistakes("name,owner\na,b\n"),
            one(1, "there is no column \"owner\": expected name, ip, ipv6, cloud_id, groups, accounts, tags")
        );
        assert_eq!(mistakes("ip\n10.0.0.1\n"), one(1, "there is no column \"name\""));
        assert_eq!(mistakes("name,name\na,b\n"), one(1, "there are two columns \"name\""));
        assert!(mistakes("name,tags\na,!b\nc d,\n,x\n").iter().map(|mistake| mistake.line).eq([2, 3, 4]));
    }
}
