//! Tests that every store must pass. They use the store through its traits only.

/// Generates all tests of the suite for a store. `$place` is the path, from the crate's root, of its [`Place`].
#[macro_export]
macro_rules! suite {
    ($place:path) => {
        $crate::suite! { $place;
            alerts {
                a_run_is_a_sign_when_it_ends_with_its_tasks_owner_and_survives_a_restart
                a_run_whose_end_comes_before_its_start_is_a_sign_and_so_is_an_end_that_replaces_another
                processes_of_a_name_are_signs_only_where_a_rule_asks_for_it
                an_agent_that_isnt_heard_of_is_a_sign_and_so_is_its_return_under_another_worker
                what_agents_and_people_tell_of_tasks_are_signs
                a_run_that_starts_after_start_within_is_a_sign_once
                a_run_that_ends_far_too_soon_is_a_sign_where_a_rule_asks_for_it
                dropped_events_are_a_sign_at_most_once_a_minute
                a_worker_that_is_lost_with_work_open_is_a_sign_and_so_is_its_next_start
                a_program_whose_last_words_say_that_its_work_has_ended_is_not_lost_with_work_open
                a_task_that_is_paused_for_over_a_day_is_a_sign_once_and_so_is_the_end_of_its_pause
                what_an_alert_starts_waits_until_it_was_asked_for
                a_task_tells_when_it_was_warned_of_last
                a_decision_is_kept_whole_or_not_at_all
                a_message_waits_until_it_is_taken_or_given_up
                hushes_and_rules_are_kept
                old_signs_go_and_numbers_are_not_used_again
            }
            batch {
                each_change_is_a_version_and_an_event
                a_run_is_folded_from_its_events_in_any_order_and_outlives_its_tree
                a_run_whose_agent_is_lost_is_lost_until_its_end_comes
                runs_are_filtered_and_paged
                what_agents_tell_is_kept_once_in_any_order
                what_an_agent_has_decided_is_known_by_task_since_its_version
            }
            changes {
                changes_are_numbered_without_gaps_over_restarts_and_reads_say_where_they_stand
                a_change_carries_what_the_event_made_of_things
                dropped_counts_are_cumulative_so_the_greatest_counts
                a_tree_tells_what_all_its_workers_dropped_of_it
                names_of_any_kind_are_data
            }
            columns { what_few_processes_have_comes_with_them }
            event_log {
                what_the_server_makes_itself_has_numbers_and_is_told_again
                models_beside_what_is_told_again_are_those_of_now
                whatever_was_told_is_told_again
            }
            found {
                a_fold_is_found_by_the_error_texts_of_all_its_shards
                an_id_is_found_in_all_trees_that_have_it
                a_cause_is_found_as_well_as_what_it_led_to_and_the_line_that_shows_both
                numbers_titles_and_the_beginnings_of_ids_are_found
                the_list_is_in_the_order_of_the_starts_whenever_they_came
                pages_neither_repeat_nor_leave_out_a_root_while_others_come_late
                a_root_tells_how_far_its_own_process_is
                runs_that_failed_alike_are_told_once_with_what_is_new
            }
            heartbeat {
                a_task_takes_no_name_that_a_heartbeat_has
                a_heartbeat_is_added_once_changed_and_found_by_its_key
                the_last_ping_follows_from_runs_in_any_order
                a_missing_ping_is_told_once_unless_it_came
            }
            links {
                links_are_found_from_other_trees_and_not_from_their_own
                links_that_come_later_or_again_are_found_once_each
                links_of_dropped_trees_go_with_them
                so_many_links_are_counted_and_no_more
            }
            lists {
                roots_are_filtered_by_each_thing_and_by_all_together
                text_is_found_in_names_batches_and_errors_whatever_its_case_and_signs
                roots_that_began_without_a_context_are_listed_apart
                pages_follow_each_other_without_overlap
                a_cursor_from_elsewhere_is_refused
                processes_are_listed_across_trees_newest_first
                a_tree_and_a_process_are_found_by_either_name_of_the_root
                processes_are_found_by_the_ids_of_other_systems_in_whatever_tree
                workers_are_found_in_the_trees_of_which_they_have_something_open
                workers_are_paged_newest_first
            }
            logs {
                keeping_more_or_less_from_now_on_loses_no_count
                pages_follow_each_other_both_ways_for_a_tree_and_a_process
                a_page_of_long_lines_is_short_and_has_a_next_one
                the_first_and_the_last_lines_are_kept_and_those_between_are_counted
            }
            lost {
                a_worker_is_lost_after_two_intervals_and_with_it_what_it_had_open_and_nothing_else
                the_time_before_the_server_began_does_not_count
                a_lost_worker_is_found_by_its_next_batch_even_an_empty_or_repeated_one
                an_end_that_comes_late_corrects_all
                a_heartbeat_keeps_a_worker_and_a_goodbye_is_no_loss
                a_worker_that_promised_no_heartbeat_is_not_missed
                a_worker_that_never_announced_itself_is_offline_a_quarter_of_an_hour_after_its_last_word
                a_worker_that_goes_offline_closes_what_it_had_open_and_the_stream_tells_it
                of_very_many_lost_processes_the_stream_names_the_trees
            }
            model { what_a_fuzzer_found_is_what_the_fold_shows a_store_shows_what_the_fold_shows }
            once {
                what_is_stored_is_there_after_a_restart
                a_batch_that_comes_again_changes_nothing_and_tells_nothing
                a_batch_may_be_split_and_cut_anew
                an_end_may_come_before_its_start_even_across_a_restart
                events_of_a_relayed_worker_are_counted_by_the_relay
            }
            overdue {
                by_its_own_timeout_a_process_is_overdue_once_and_until_it_ends
                what_runs_when_the_server_begins_is_watched_and_what_has_ended_is_not
                what_ends_before_the_server_looks_is_overdue_no_more
                what_was_lost_when_its_time_was_up_is_overdue_once_it_is_found
                a_clock_a_day_off_makes_nothing_overdue_and_is_shown
                of_two_different_ends_the_first_counts_and_the_other_is_counted
            }
            pins {
                pinned_and_running_trees_stay_and_are_told_of
                trees_go_by_the_first_rule_that_is_for_them
                tidying_up_takes_nothing_that_is_kept
            }
            queue {
                each_filter_and_order_lists_all_of_its_tasks
                a_list_of_tasks_has_its_order
                a_list_of_tasks_is_filtered
                a_page_that_takes_too_long_is_continued_by_its_cursor
                a_full_page_does_not_search_all_tasks_for_one_more
                pages_of_tasks_have_each_once
                tasks_are_counted_as_they_stand
                tasks_are_counted_by_the_worker_that_had_them
                tasks_are_found_by_the_beginning_of_their_ids
            }
            stats {
                any_range_holds_what_ended_in_it
                statistics_are_sorted_and_paged
                who_is_lost_counts_until_its_end_comes_after_all
                like_errors_are_one_with_the_newest_for_an_example
            }
            tasks {
                a_task_is_kept_with_its_attempts_over_restarts
                a_task_is_the_same_in_whatever_order_it_is_told
                events_of_a_queue_wait_for_their_tree
            }
            unused {
                words_and_workers_of_dropped_trees_alone_go
                a_worker_stays_while_a_tree_misses_what_it_dropped_or_it_may_be_heard_of
                words_that_went_are_found_when_they_are_back
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
