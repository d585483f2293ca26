use std::process::Command;

use crate::support::monitor;

#[test]
fn there_is_a_page_for_each_command() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man/man1");
    monitor(&["man", pages.to_str().unwrap()]).assert().success();
    let page = |name: &str| std::fs::read_to_string(pages.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(page("monitor.1").contains(".TH monitor 1"));
    assert!(page("monitor-server.1").contains("listen"));
    for name in ["monitor-spool-list.1", "monitor-status.1"] {
        assert!(page(name).contains(".SH NAME"), "{name}");
    }
    #[cfg(target_os = "linux")]
    for (name, says) in [("list", "json"), ("attach", "exit code"), ("logs", "follow"), ("kill", "now"), ("clear", "older")] {
        assert!(page(&format!("monitor-detached-{name}.1")).contains(says), "{name}");
    }
    #[cfg(target_os = "linux")]
    assert!(
        page("monitor-run.1").contains("timeout") && !page("monitor-run.1").contains("\\-\\-from"),
        "what is not for people is not in it"
    );
    let out = monitor(&["man", "/dev/null/x"]).assert().code(1).get_output().stderr.clone();
    assert!(String::from_utf8_lossy(&out).contains("/dev/null/x"));
}

#[test]
fn a_shell_takes_its_completions() {
    for (shell, says) in [("bash", "complete -F"), ("zsh", "#compdef monitor"), ("fish", "complete -c monitor")] {
        let out = monitor(&["completions", shell]).assert().success().get_output().stdout.clone();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(says), "{shell}");
        if shell == "bash" {
            let script = format!("{text}\nCOMP_WORDS=(monitor sp); COMP_CWORD=1; _monitor monitor sp monitor; echo \"${{COMPREPLY[@]}}\"");
            assert_eq!(in_bash(&script), "spool\n");
            #[cfg(target_os = "linux")]
            for (words, expected) in [
                ("monitor detached ", "list attach logs kill clear"),
                ("monitor run --on-launcher-death ", "continue kill"),
                ("monitor run --inject ", "shell python"),
            ] {
                let last = words.rsplit(' ').next().unwrap_or_default();
                let before = words.split(' ').rev().nth(1).unwrap_or_default();
                let count = words.split(' ').count() - 1;
                let script = format!(
                    "{text}\nCOMP_WORDS=({words} ''); COMP_CWORD={count}; _monitor monitor '{last}' '{before}'; echo \"${{COMPREPLY[@]}}\""
                );
                let offered = in_bash(&script);
                let words_of = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
                let offered = words_of(&offered);
                assert!(words_of(expected).iter().all(|word| offered.contains(word)), "{words}: {offered:?}");
            }
        }
    }
    let out = monitor(&["completions", "cmd"]).assert().code(2).get_output().stderr.clone();
    assert!(String::from_utf8_lossy(&out).contains("zsh"));
}

/// Runs a script from a file, because it may be longer than an argument; returns its output.
fn in_bash(script: &str) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script).unwrap();
    String::from_utf8(Command::new("bash").arg(file.path()).output().unwrap().stdout).unwrap()
}
