//! A list of rows without drawing: which row is selected, in which order they stand, what is folded away.
//!
//! The selection is an id. Rows come anew with each answer, so a line says nothing about which one is meant.

use std::collections::{HashMap, HashSet};

use monitor_wire::State;

use crate::data::{Key, Model};

/// What stands in a column of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Empty,
    Text(String),
    /// Text that is quieter than the rest.
    Faint(String),
    /// The words of a failure.
    Error(String),
    State(State),
    Number(u64),
    /// How long it took, in nanoseconds.
    Took(u64),
    /// It goes on since this time, Unix µs.
    Since(u64),
    /// A time, Unix µs.
    At(u64),
    /// A process on a line of time: its start and its end, Unix µs.
    Bar(u64, Option<u64>),
}

/// A row: a model, and what stands in the columns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) key: Key,
    pub(crate) model: Model,
    pub(crate) cells: Vec<Cell>,
    /// How deep it hangs; 0 in lists that are no tree.
    pub(crate) depth: u32,
}

/// A row in sight.
#[derive(Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) row: &'a Row,
    pub(crate) is_selected: bool,
    /// Whether the rows below it are to be seen, if it has any.
    pub(crate) is_open: Option<bool>,
}

/// The order of rows with the same parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sort {
    pub(crate) column: usize,
    pub(crate) is_descending: bool,
}

/// A list, and where somebody is in it.
#[derive(Debug, Default)]
pub(crate) struct List {
    /// As they were answered.
    rows: Vec<Row>,
    /// Those to be seen, in the order in which they stand.
    order: Vec<usize>,
    has_children: Vec<bool>,
    selected: Option<Key>,
    /// The selected row is still to come.
    is_awaited: bool,
    /// Where the selected row stands, or stood last.
    place: usize,
    /// The first line to be seen.
    top: usize,
    sort: Option<Sort>,
    /// The order stands still: of each row its place.
    frozen: Option<HashMap<Key, usize>>,
    closed: HashSet<Key>,
    /// Goes where something happens.
    pub(crate) follows: bool,
    pub(crate) has_more: bool,
}

impl List {
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// All rows, folded away or not, as they were answered.
    pub(crate) fn all(&self) -> &[Row] {
        &self.rows
    }

    pub(crate) fn selected(&self) -> Option<&Row> {
        self.order.get(self.place).map(|index| &self.rows[*index])
    }

    /// The id of the selected row, which may be still to come.
    pub(crate) fn selected_key(&self) -> Option<&Key> {
        self.selected.as_ref()
    }

    /// Returns true if the selected row is still to come.
    pub(crate) fn awaits(&self) -> bool {
        self.is_awaited
    }

    pub(crate) fn place(&self) -> usize {
        self.place
    }

    pub(crate) fn sort(&self) -> Option<Sort> {
        self.sort
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    /// The rows in sight of so many lines. The selected one is among them.
    pub(crate) fn window(&mut self, lines: usize) -> Vec<Shown<'_>> {
        let lines = lines.max(1);
        self.top = self.top.clamp((self.place + 1).saturating_sub(lines), self.place);
        self.top = self.top.min(self.order.len().saturating_sub(lines));
        let shown = |(place, index): (usize, &usize)| {
            let row = &self.rows[*index];
            Shown { row, is_selected: place == self.place, is_open: self.is_open(*index) }
        };
        self.order.iter().enumerate().skip(self.top).take(lines).map(shown).collect()
    }

    /// Of a row with others below it, whether these are to be seen.
    fn is_open(&self, index: usize) -> Option<bool> {
        self.has_children[index].then(|| !self.closed.contains(&self.rows[index].key))
    }

    /// Takes the rows of a new answer.
    pub(crate) fn take(&mut self, rows: Vec<Row>, now_us: u64) {
        self.rows = rows;
        self.arrange(now_us);
    }

    /// Forgets all rows, for they are another question's.
    pub(crate) fn clear(&mut self) {
        *self = Self { sort: self.sort, follows: self.follows, ..Self::default() };
    }

    /// Selects a row by its id, whether or not it is there yet.
    pub(crate) fn select(&mut self, key: Key, now_us: u64) {
        (self.selected, self.is_awaited) = (Some(key), true);
        self.show_selected();
        self.arrange(now_us);
    }

    /// Returns true if the row of this id is there.
    pub(crate) fn has(&self, key: &Key) -> bool {
        self.rows.iter().any(|row| row.key == *key)
    }

    /// Goes so many rows down, or up.
    pub(crate) fn move_by(&mut self, rows: isize) {
        let last = self.order.len().saturating_sub(1);
        self.go_to(self.place.saturating_add_signed(rows).min(last));
    }

    pub(crate) fn go_to(&mut self, place: usize) {
        self.place = place.min(self.order.len().saturating_sub(1));
        (self.selected, self.is_awaited) = (self.selected().map(|row| row.key.clone()), false);
    }

    /// Goes to the next row like this, or the one before, round the end. Rows that are folded away are opened. Returns false if there is none.
    pub(crate) fn seek(&mut self, forward: bool, now_us: u64, is_meant: impl Fn(&Row) -> bool) -> bool {
        let all = arrange(&self.rows, &|a, b| self.compare(a, b, now_us), &HashSet::new()).0;
        let at = self.selected().and_then(|row| all.iter().position(|index| self.rows[*index].key == row.key)).unwrap_or(0);
        let count = all.len();
        let mut places = (1..=count).map(|step| if forward { (at + step) % count } else { (at + count - step) % count });
        let Some(found) = places.find(|place| is_meant(&self.rows[all[*place]])) else { return false };
        let key = self.rows[all[found]].key.clone();
        self.select(key, now_us);
        true
    }

    /// Folds away what is below the selected row; of a row that has nothing to be folded, goes to its parent. Returns false if there is none.
    pub(crate) fn close(&mut self, now_us: u64) -> bool {
        let Some(index) = self.order.get(self.place).copied() else { return false };
        let (key, depth) = (self.rows[index].key.clone(), self.rows[index].depth);
        if self.is_open(index) == Some(true) {
            self.closed.insert(key);
            self.arrange(now_us);
            return true;
        }
        let parent = (0..self.place).rev().find(|place| self.rows[self.order[*place]].depth < depth);
        parent.inspect(|place| self.go_to(*place)).is_some()
    }

    /// Shows what is below the selected row; of an open one, goes to its first child. Returns false if it has none.
    pub(crate) fn open(&mut self, now_us: u64) -> bool {
        let Some(index) = self.order.get(self.place).copied() else { return false };
        match self.is_open(index) {
            Some(false) => {
                self.closed.remove(&self.rows[index].key);
                self.arrange(now_us);
            }
            Some(true) => self.move_by(1),
            None => return false,
        }
        true
    }

    /// Sorts by the next of so many columns; after the last one as it was answered.
    pub(crate) fn sort_next(&mut self, columns: usize, now_us: u64) {
        let next = self.sort.map_or(0, |sort| sort.column + 1);
        self.sort = (next < columns).then_some(Sort { column: next, is_descending: false });
        self.rearrange(now_us);
    }

    /// Turns the order round.
    pub(crate) fn flip(&mut self, now_us: u64) {
        if let Some(sort) = &mut self.sort {
            sort.is_descending = !sort.is_descending;
        }
        self.rearrange(now_us);
    }

    /// Lets the order stand still, whatever comes, or go on.
    pub(crate) fn freeze(&mut self, is_frozen: bool, now_us: u64) {
        self.frozen = is_frozen.then(HashMap::new);
        self.rearrange(now_us);
    }

    /// Arranges rows although they are frozen, and lets them stand so.
    fn rearrange(&mut self, now_us: u64) {
        let was_frozen = self.frozen.take().is_some();
        self.arrange(now_us);
        if was_frozen {
            let all = arrange(&self.rows, &|a, b| self.compare(a, b, now_us), &HashSet::new()).0;
            self.frozen = Some(all.iter().enumerate().map(|(place, index)| (self.rows[*index].key.clone(), place)).collect());
        }
    }

    fn arrange(&mut self, now_us: u64) {
        (self.order, self.has_children) = arrange(&self.rows, &|a, b| self.compare(a, b, now_us), &self.closed);
        let of_selected = |key: &Key| self.order.iter().position(|index| self.rows[*index].key == *key);
        match self.selected.as_ref().and_then(of_selected) {
            Some(place) => (self.place, self.is_awaited) = (place, false),
            None if self.is_awaited => self.place = self.place.min(self.order.len().saturating_sub(1)),
            // It is gone: whoever stands where it stood.
            None => self.go_to(self.place),
        }
    }

    /// Opens all that the selected row is folded away by.
    fn show_selected(&mut self) {
        let Some(mut index) = self.rows.iter().position(|row| Some(&row.key) == self.selected.as_ref()) else { return };
        while let Some(parent) = (0..index).rev().find(|above| self.rows[*above].depth < self.rows[index].depth) {
            self.closed.remove(&self.rows[parent].key);
            index = parent;
        }
    }

    fn compare(&self, a: &Row, b: &Row, now_us: u64) -> std::cmp::Ordering {
        if let Some(places) = &self.frozen {
            let place = |row: &Row| places.get(&row.key).copied().unwrap_or(usize::MAX);
            return place(a).cmp(&place(b));
        }
        let Some(Sort { column, is_descending }) = self.sort else { return std::cmp::Ordering::Equal };
        let cell = |row: &Row| row.cells.get(column).map(|cell| cell.rank(now_us)).unwrap_or_default();
        if is_descending { cell(b).cmp(&cell(a)) } else { cell(a).cmp(&cell(b)) }
    }
}

impl Cell {
    /// What it is sorted by: numbers by size, words by letters.
    fn rank(&self, now_us: u64) -> (u128, String) {
        match self {
            Self::Empty => (0, String::new()),
            Self::Text(text) | Self::Faint(text) | Self::Error(text) => (0, text.to_lowercase()),
            Self::State(state) => (0, state.as_str().to_owned()),
            Self::Number(number) => (u128::from(*number) + 1, String::new()),
            Self::Took(ns) => (u128::from(*ns) + 1, String::new()),
            Self::Since(us) => (u128::from(now_us.saturating_sub(*us)) * 1_000 + 1, String::new()),
            Self::At(us) | Self::Bar(us, _) => (u128::from(*us) + 1, String::new()),
        }
    }
}

/// The rows to be seen, parents before their children and these in order; and of each row whether it has any.
fn arrange(rows: &[Row], compare: &dyn Fn(&Row, &Row) -> std::cmp::Ordering, closed: &HashSet<Key>) -> (Vec<usize>, Vec<bool>) {
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); rows.len()];
    let (mut tops, mut above) = (Vec::new(), Vec::<usize>::new());
    for (index, row) in rows.iter().enumerate() {
        while above.last().is_some_and(|parent| rows[*parent].depth >= row.depth) {
            above.pop();
        }
        above.last().map_or(&mut tops, |parent| &mut children[*parent]).push(index);
        above.push(index);
    }
    for siblings in children.iter_mut().chain([&mut tops]) {
        siblings.sort_by(|a, b| compare(&rows[*a], &rows[*b]));
    }
    let has_children = children.iter().map(|children| !children.is_empty()).collect();
    let (mut order, mut todo) = (Vec::with_capacity(rows.len()), tops);
    todo.reverse();
    while let Some(index) = todo.pop() {
        order.push(index);
        if !closed.contains(&rows[index].key) {
            todo.extend(children[index].iter().rev());
        }
    }
    (order, has_children)
}

#[cfg(test)]
mod tests {
    use monitor_wire::QueueCounts;

    use super::*;

    /// Rows from words like `1.b=7`: depth, name, number.
    fn rows(text: &str) -> Vec<Row> {
        let row = |word: &str| {
            let (depth, rest) = word.split_once('.').unwrap();
            let (name, number) = rest.split_once('=').unwrap();
            let counts = QueueCounts { name: name.to_owned(), states: [].into() };
            let model = Model::Counts(counts.into());
            let cells = vec![Cell::Text(name.to_owned()), Cell::Number(number.parse().unwrap())];
            Row { key: model.key(), model, cells, depth: depth.parse().unwrap() }
        };
        text.split_whitespace().map(row).collect()
    }

    fn shown(list: &mut List) -> String {
        let names = list.window(100).into_iter().map(|shown| format!("{:?}", shown.row.key)).collect::<Vec<_>>();
        names.join(" ").replace("Word(\"", "").replace("\")", "")
    }

    fn selected(list: &List) -> String {
        let Some(Key::Word(name)) = list.selected().map(|row| row.key.clone()) else { panic!("nothing is selected") };
        name
    }

    fn list(text: &str) -> List {
        let mut list = List::default();
        list.take(rows(text), 0);
        list
    }

    #[test]
    fn the_selection_is_an_id_and_never_a_line() {
        let mut list = list("0.a=1 0.b=2 0.c=3");
        list.move_by(1);
        assert_eq!(selected(&list), "b");
        list.take(rows("0.new=9 0.a=1 0.c=3 0.b=2"), 0);
        assert_eq!(selected(&list), "b");
        // One that is gone leaves its place to whoever stands there.
        list.take(rows("0.new=9 0.a=1 0.c=3"), 0);
        assert_eq!(selected(&list), "c");
        list.take(Vec::new(), 0);
        assert!(list.selected().is_none() && list.is_empty());
        list.move_by(5);
        list.move_by(-5);
        // One that was never there is waited for.
        list.take(rows("0.x=1 0.b=2"), 0);
        list.select(Key::Word("later".to_owned()), 0);
        list.take(rows("0.x=1 0.b=2 0.later=3"), 0);
        assert_eq!(selected(&list), "later");
    }

    #[test]
    fn siblings_are_sorted_and_children_stay_below_their_parents() {
        let mut list = list("0.root=0 1.b=2 2.z=1 2.y=2 1.a=3");
        list.sort_next(2, 0);
        assert_eq!(shown(&mut list), "root a b y z");
        list.flip(0);
        assert_eq!(shown(&mut list), "root b z y a");
        list.sort_next(2, 0);
        assert_eq!(shown(&mut list), "root b z y a");
        list.sort_next(2, 0);
        assert!(list.sort().is_none());
        assert_eq!(shown(&mut list), "root b z y a");
    }

    #[test]
    fn what_is_frozen_keeps_its_order_while_data_flows() {
        let mut list = list("0.a=1 0.b=2 0.c=3");
        list.sort_next(2, 0);
        list.sort_next(2, 0);
        list.freeze(true, 0);
        list.take(rows("0.new=0 0.c=0 0.a=9 0.b=5"), 0);
        assert_eq!(shown(&mut list), "a b c new");
        assert_eq!(list.selected().unwrap().cells[1], Cell::Number(9));
        // Whoever sorts anew means it.
        list.flip(0);
        assert_eq!(shown(&mut list), "a b new c");
        list.freeze(false, 0);
        list.take(rows("0.new=7 0.c=0 0.a=9 0.b=5"), 0);
        assert_eq!(shown(&mut list), "a new b c");
    }

    #[test]
    fn branches_close_and_open_and_a_search_opens_them() {
        let mut list = list("0.root=0 1.a=0 2.deep=1 1.b=0");
        list.move_by(1);
        assert!(list.close(0));
        assert_eq!(shown(&mut list), "root a b");
        assert!(list.close(0) && selected(&list) == "root");
        assert!(list.close(0) && shown(&mut list) == "root");
        assert!(!list.close(0));
        assert!(list.seek(true, 0, |row| row.cells[1] == Cell::Number(1)));
        assert_eq!((selected(&list), shown(&mut list)), ("deep".to_owned(), "root a deep b".to_owned()));
        assert!(!list.seek(false, 0, |_| false));
        assert!(!list.open(0));
        list.go_to(0);
        assert!(list.open(0) && selected(&list) == "a");
    }

    #[test]
    fn the_selected_row_is_always_in_sight() {
        let mut list = List::default();
        let words: Vec<_> = (0..100).map(|number| format!("0.r{number}=1")).collect();
        list.take(rows(&words.join(" ")), 0);
        for place in [0, 50, 99, 3, 98] {
            list.go_to(place);
            let window = list.window(10);
            assert_eq!(window.len(), 10);
            assert!(window.iter().any(|shown| shown.is_selected && shown.row.key == Key::Word(format!("r{place}"))));
        }
        list.take(rows("0.r0=1 0.r1=1"), 0);
        assert_eq!(list.window(10).len(), 2);
        assert_eq!(list.window(0).len(), 1);
    }
}
