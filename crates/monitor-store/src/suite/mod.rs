//! Tests that every store must pass. They use the store through its traits only.

/// Generates all tests of the suite for a store. `$place` is the path, from the crate's root, of its [`Place`].
#[macro_export]
macro_rules! suite {
    ($place:path) => {
        $crate::suite! { $place;
            alerts {
                a_run_is_a_sign_when_it_ends_with_its_tasks_owner_and_survives_a_restart
                a_run_is_a_sign_if_its_end_arrives_first_or_replaces_another
                processes_of_a_name_are_signs_only_if_a_rule_watches_it
                a_silent_agent_is_a_sign_and_so_is_its_return_under_another_worker
                task_events_of_agents_and_users_are_signs
                a_run_that_starts_after_start_within_is_a_sign_once
                a_run_that_ends_far_too_soon_is_a_sign_if_a_rule_watches_it
                dropped_events_are_a_sign_at_most_once_a_minute
                a_worker_that_is_lost_with_work_open_is_a_sign_and_so_is_its_next_start
                a_lost_program_that_reported_the_end_of_its_work_has_no_open_work
                a_task_that_is_paused_for_over_a_day_is_a_sign_once_and_so_is_the_end_of_its_pause
                a_run_ordered_by_an_alert_waits_until_it_was_requested
                a_job_on_hosts_is_a_sign_when_it_ends_and_when_it_loses_a_host
                a_task_shows_the_time_of_its_last_warning
                a_decision_is_kept_whole_or_not_at_all
                a_message_waits_until_it_is_taken_or_given_up
                hushes_and_rules_are_kept
                old_signs_are_removed_and_numbers_are_not_used_again
            }
            batch {
                each_change_is_a_version_and_an_event
                a_run_is_folded_from_its_events_in_any_order_and_outlives_its_tree
                a_run_whose_agent_is_lost_is_lost_until_its_end_comes
                runs_are_filtered_and_paged
                events_of_agents_are_kept_once_in_any_order
                decisions_of_an_agent_are_known_by_task_since_its_version
            }
            changes {
                changes_are_numbered_without_gaps_and_reads_return_their_position
                a_change_contains_the_state_caused_by_its_event
                dropped_counts_are_cumulative_so_the_greatest_is_used
                a_tree_shows_the_drops_of_all_its_workers
                names_of_any_kind_are_data
            }
            columns { what_few_processes_have_comes_with_them }
            event_log {
                events_made_by_the_server_are_numbered_and_repeatable
                models_next_to_repeated_events_are_current
                logged_events_are_repeated_unchanged
            }
            found {
                a_fold_is_found_by_the_error_texts_of_all_its_shards
                an_id_is_found_in_all_trees_that_have_it
                a_name_fails_until_a_newer_run_of_it_succeeds
                errors_are_found_by_cause_by_message_and_by_their_whole_line
                numbers_titles_and_the_beginnings_of_ids_are_found
                the_list_is_sorted_by_start_in_any_order_of_arrival
                pages_neither_repeat_nor_omit_a_root_while_others_arrive_late
                a_root_shows_the_progress_of_its_own_process
                similar_failures_are_listed_once_and_new_failures_are_marked
            }
            heartbeat {
                a_task_takes_no_name_that_a_heartbeat_has
                a_heartbeat_is_added_once_changed_and_found_by_its_key
                the_last_ping_follows_from_runs_in_any_order
                a_missing_ping_is_reported_once_unless_it_arrived
            }
            links {
                links_are_found_from_other_trees_and_not_from_their_own
                links_that_arrive_later_or_again_are_found_once_each
                links_of_dropped_trees_are_removed_with_them
                links_are_counted_up_to_a_limit
            }
            lists {
                roots_are_filtered_by_each_property_and_by_all_together
                text_is_found_in_names_batches_and_errors_whatever_its_case_and_signs
                roots_that_began_without_a_context_are_listed_apart
                pages_follow_each_other_without_overlap
                a_cursor_from_elsewhere_is_refused
                processes_are_listed_across_trees_newest_first
                a_tree_and_a_process_are_found_by_either_name_of_the_root
                processes_are_found_in_any_tree_by_the_ids_of_other_systems
                workers_are_found_in_trees_where_they_have_open_processes
                workers_are_paged_newest_first
            }
            logs {
                a_changed_limit_of_log_lines_loses_no_count
                pages_follow_each_other_both_ways_for_a_tree_and_a_process
                a_page_of_long_lines_is_short_and_has_a_next_page
                the_first_and_the_last_lines_are_kept_and_those_between_are_counted
            }
            lost {
                a_worker_is_lost_after_two_intervals_with_only_its_open_processes
                the_time_before_the_server_began_does_not_count
                a_lost_worker_is_found_by_its_next_batch_even_an_empty_or_repeated_one
                a_late_end_corrects_a_lost_process
                a_worker_with_heartbeats_or_a_goodbye_is_not_lost
                a_worker_that_promised_no_heartbeat_is_not_missed
                an_unannounced_worker_is_offline_15_minutes_after_its_last_event
                a_worker_that_goes_offline_closes_its_processes_in_the_stream
                the_stream_names_only_the_trees_of_very_many_lost_processes
            }
            model { what_a_fuzzer_found_is_what_the_fold_shows a_store_shows_what_the_fold_shows }
            once {
                stored_data_is_there_after_a_restart
                a_repeated_batch_changes_nothing_and_emits_nothing
                a_batch_may_be_split_and_cut_anew
                an_end_may_come_before_its_start_even_across_a_restart
                events_of_a_relayed_worker_are_counted_by_the_relay
            }
            overdue {
                a_process_above_its_timeout_is_overdue_once_until_it_ends
                running_processes_are_watched_after_a_restart_and_ended_processes_not
                a_process_that_ended_before_the_check_is_no_longer_overdue
                a_process_lost_at_its_timeout_is_overdue_when_it_is_found
                a_clock_a_day_off_makes_nothing_overdue_and_is_shown
                the_first_of_two_different_ends_is_used_and_the_other_is_counted
            }
            pins {
                pinned_and_running_trees_are_kept_and_pins_are_announced
                trees_are_removed_by_the_first_rule_that_matches_them
                cleaning_up_removes_nothing_that_is_kept
            }
            queue {
                each_filter_and_order_lists_all_of_its_tasks
                a_list_of_tasks_has_its_order
                a_list_of_tasks_is_filtered
                a_page_that_takes_too_long_is_continued_by_its_cursor
                a_full_page_does_not_search_all_tasks_for_another
                pages_of_tasks_have_each_once
                tasks_are_counted_by_queue_name_and_state
                tasks_are_counted_by_the_worker_that_had_them
                tasks_are_found_by_the_beginning_of_their_ids
            }
            stats {
                any_range_contains_the_processes_that_ended_in_it
                statistics_are_sorted_and_paged
                a_process_counts_as_lost_until_its_late_end
                similar_errors_are_grouped_with_the_newest_as_example
            }
            tasks {
                a_task_is_kept_with_its_attempts_across_restarts
                a_task_is_the_same_in_any_order_of_its_events
                events_of_a_queue_wait_for_their_tree
            }
            unused {
                only_texts_and_workers_of_dropped_trees_are_removed
                a_worker_is_kept_while_a_tree_needs_its_drops_or_it_may_return
                removed_texts_are_found_again_when_they_return
            }
        }
    };
    ($place:path; $($module:ident { $($name:ident)+ })+) => {
        $(mod $module { $(#[test] fn $name() { $crate::suite::$module::$name::<$place>(); })+ })+
    };
}

pub mod alerts;
pub mod batch;
pub mod changes;
pub mod columns;
#[path = "../../../../fuzz/corpus.rs"]
mod corpus;
pub mod event_log;
pub mod found;
pub mod heartbeat;
pub mod jobs;
pub mod links;
pub mod lists;
pub mod logs;
pub mod lost;
pub mod model;
pub mod once;
pub mod overdue;
pub mod pins;
pub mod queue;
pub mod stats;
pub mod tasks;
pub mod unused;

use std::sync::Arc;
use std::time::Duration;

use monitor_wire::{Batch, TreePage};

use super::{Budget, Changes, Chore, Intake, RootKey, RootsQuery, Rules, Store, StoreError, Turn};
use crate::packed::Packed;
use crate::retention::{Retention, read_rules};
use crate::support;
use crate::support::script::show;

/// Storage of a store under test. Opening a store there again simulates a restart.
pub trait Place {
    type Store: Store;

    /// Creates an empty place.
    fn new() -> Self;

    /// Opens the store. A store that was opened before must have been dropped.
    fn open(&self) -> Self::Store;

    /// Like [`Place::open`], with `lines` lines kept at the beginning and at the end of each log.
    fn open_keeping(&self, lines: usize) -> Self::Store;

    /// Panics if the stored data is inconsistent.
    fn check(&self, store: &Self::Store);
}

/// Appends batches in their wire form.
pub trait Say {
    fn say(&self, batches: &[Batch], now_us: u64) -> Result<Changes, StoreError>;
}

impl<S: Intake> Say for S {
    fn say(&self, batches: &[Batch], now_us: u64) -> Result<Changes, StoreError> {
        let packed: Vec<_> = batches.iter().map(|batch| Arc::new(Packed::from(batch.clone()))).collect();
        self.append(&packed, now_us)
    }
}

/// Returns the processes of tree 1 as lines.
fn tree(store: &impl Store) -> String {
    show(&page(store).processes)
}

fn page(store: &impl Store) -> TreePage {
    store.tree(RootKey::Id(support::root(1)), 1_000, None).unwrap().unwrap()
}

fn any() -> RootsQuery {
    RootsQuery { limit: 100, ..RootsQuery::default() }
}

/// Joins batches of the same worker into one.
fn joined(batches: &[Batch]) -> Batch {
    Batch { events: batches.iter().flat_map(|batch| batch.events.clone()).collect(), ..batches[0].clone() }
}

/// Runs a chore to its end. Returns the number of dropped trees and the types of the resulting events.
fn tidy(store: &impl Store, chore: Chore, retention: &Retention, now_us: u64) -> (usize, Vec<String>) {
    let rules = Rules { retention, aged_us: now_us, now_us };
    let (mut turn, mut dropped, mut told) = (Some(Turn::Look), 0, Vec::new());
    while let Some(next) = turn {
        let tidied = store.tidy(chore, &rules, Budget { turn: next, time: Duration::ZERO, trees: 2 }).unwrap();
        assert!(next == Turn::Change || tidied.changes.count() == 0, "a look changes nothing");
        told.extend(tidied.changes.iter().map(|change| change.message.event.type_name().to_owned()));
        (turn, dropped) = (tidied.more, dropped + tidied.dropped);
    }
    (dropped, told)
}

fn rules(text: &str) -> Retention {
    Retention { rules: read_rules(text).unwrap(), size: None }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Place;
    use crate::memory::{Memory, MemoryStore};

    struct InMemory(Memory);

    impl Place for InMemory {
        type Store = MemoryStore;

        fn new() -> Self {
            Self(Memory::default())
        }

        fn open(&self) -> MemoryStore {
            MemoryStore::open(&self.0)
        }

        fn open_keeping(&self, lines: usize) -> MemoryStore {
            self.open().keep_logs(lines)
        }

        fn check(&self, _store: &MemoryStore) {}
    }

    crate::suite!(crate::suite::tests::InMemory);

    /// The macro generates tests only for the names in its list, so an unlisted test would never run.
    #[test]
    fn each_test_is_listed() {
        let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/suite"));
        let (list, _) = include_str!("mod.rs").split_once("    };").unwrap();
        let listed: BTreeSet<&str> = list.lines().filter(|line| !line.starts_with("//")).flat_map(str::split_whitespace).collect();
        for entry in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            let names = text.lines().filter_map(|line| line.strip_prefix("pub fn ")?.strip_suffix("<P: Place>() {"));
            names.for_each(|name| assert!(listed.contains(name), "{name} is missing in the list of the macro `suite`"));
        }
    }
}
