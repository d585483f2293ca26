//! A list of rows, without drawing: selection, order, and collapsed branches.
//!
//! The selection is stored as a key, because each answer replaces all rows and a position could then refer to another row.

use std::collections::{HashMap, HashSet};

use monitor_wire::State;

use crate::data::{Key, Model};

/// Content of a column in a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Empty,
    Text(String),
    /// Text in a faint style.
    Faint(String),
    /// Error message.
    Error(String),
    State(State),
    Number(u64),
    /// Duration in nanoseconds.
    Took(u64),
    /// Start of something that is still running, in Unix µs.
    Since(u64),
    /// A point in time, in Unix µs.
    At(u64),
    /// Bar on the timeline: start and end of a process, in Unix µs.
    Bar(u64, Option<u64>),
}

/// A row: a model and its cells.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) key: Key,
    pub(crate) model: Model,
    pub(crate) cells: Vec<Cell>,
    /// Depth in the tree; 0 in flat lists.
    pub(crate) depth: u32,
}

/// A visible row.
#[derive(Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) row: &'a Row,
    pub(crate) is_selected: bool,
    /// True if its children are visible. `None` if it has no children.
    pub(crate) is_open: Option<bool>,
}

/// Sort order of rows with the same parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sort {
    pub(crate) column: usize,
    pub(crate) is_descending: bool,
}

/// A list with its view state.
#[derive(Debug, Default)]
pub(crate) struct List {
    /// Rows in the order of the answer.
    rows: Vec<Row>,
    /// Indices of the visible rows, in display order.
    order: Vec<usize>,
    has_children: Vec<bool>,
    selected: Option<Key>,
    /// True if the selected row has not been received yet.
    is_awaited: bool,
    /// Position of the selected row, or its last position.
    place: usize,
    /// Position of the first visible line.
    top: usize,
    sort: Option<Sort>,
    /// If the order is frozen, the position of each row.
    frozen: Option<HashMap<Key, usize>>,
    closed: HashSet<Key>,
    /// True in follow mode, which selects the newest row.
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

    /// Returns all rows in the order of the answer, including collapsed rows.
    pub(crate) fn all(&self) -> &[Row] {
        &self.rows
    }

    pub(crate) fn selected(&self) -> Option<&Row> {
        self.order.get(self.place).map(|index| &self.rows[*index])
    }

    /// Returns the key of the selected row, which may not have been received yet.
    pub(crate) fn selected_key(&self) -> Option<&Key> {
        self.selected.as_ref()
    }

    /// Returns true if the selected row has not been received yet.
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

    /// Returns the rows that fit into `lines` lines. The selected row is included.
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

    /// Returns true if the children of a row are visible. `None` if it has no children.
    fn is_open(&self, index: usize) -> Option<bool> {
        self.has_children[index].then(|| !self.closed.contains(&self.rows[index].key))
    }

    /// Replaces the rows by a new answer.
    pub(crate) fn take(&mut self, rows: Vec<Row>, now_us: u64) {
        self.rows = rows;
        self.arrange(now_us);
    }

    /// Removes all rows because the question has changed.
    pub(crate) fn clear(&mut self) {
        *self = Self { sort: self.sort, follows: self.follows, ..Self::default() };
    }

    /// Selects a row by its key, which may not have been received yet.
    pub(crate) fn select(&mut self, key: Key, now_us: u64) {
        (self.selected, self.is_awaited) = (Some(key), true);
        self.show_selected();
        self.arrange(now_us);
    }

    /// Returns true if the list contains the row.
    pub(crate) fn has(&self, key: &Key) -> bool {
        self.rows.iter().any(|row| row.key == *key)
    }

    /// Moves the selection down by `rows`, or up if negative.
    pub(crate) fn move_by(&mut self, rows: isize) {
        let last = self.order.len().saturating_sub(1);
        self.go_to(self.place.saturating_add_signed(rows).min(last));
    }

    pub(crate) fn go_to(&mut self, place: usize) {
        self.place = place.min(self.order.len().saturating_sub(1));
        (self.selected, self.is_awaited) = (self.selected().map(|row| row.key.clone()), false);
    }

    /// Selects the next or previous row that matches, and wraps around. Expands collapsed branches. Returns false if no row matches.
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

    /// Collapses the selected row, or selects its parent if there is nothing to collapse. Returns false if there is no parent.
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

    /// Expands the selected row, or selects its first child if it is expanded. Returns false if it has no children.
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

    /// Sorts by the next column. After the last column, restores the order of the answer.
    pub(crate) fn sort_next(&mut self, columns: usize, now_us: u64) {
        let next = self.sort.map_or(0, |sort| sort.column + 1);
        self.sort = (next < columns).then_some(Sort { column: next, is_descending: false });
        self.rearrange(now_us);
    }

    /// Reverses the order.
    pub(crate) fn flip(&mut self, now_us: u64) {
        if let Some(sort) = &mut self.sort {
            sort.is_descending = !sort.is_descending;
        }
        self.rearrange(now_us);
    }

    /// Freezes or unfreezes the order.
    pub(crate) fn freeze(&mut self, is_frozen: bool, now_us: u64) {
        self.frozen = is_frozen.then(HashMap::new);
        self.rearrange(now_us);
    }

    /// Sorts again although the order is frozen, and freezes the new order.
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
            // The row was removed: select the row at its position.
            None => self.go_to(self.place),
        }
    }

    /// Expands all ancestors of the selected row.
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
    /// Returns the sort key: numbers by value, text alphabetically.
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

/// Returns the indices of the visible rows, parents before their sorted children, and a flag for each row that is true if it has children.
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

    /// Creates rows from words such as `1.b=7`: depth, name, number.
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
        // If the selected row is removed, the row at its position is selected.
        list.take(rows("0.new=9 0.a=1 0.c=3"), 0);
        assert_eq!(selected(&list), "c");
        list.take(Vec::new(), 0);
        assert!(list.selected().is_none() && list.is_empty());
        list.move_by(5);
        list.move_by(-5);
        // A row that has not been received yet can be selected in advance.
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
    fn a_frozen_list_keeps_its_order_as_data_arrives() {
        let mut list = list("0.a=1 0.b=2 0.c=3");
        list.sort_next(2, 0);
        list.sort_next(2, 0);
        list.freeze(true, 0);
        list.take(rows("0.new=0 0.c=0 0.a=9 0.b=5"), 0);
        assert_eq!(shown(&mut list), "a b c new");
        assert_eq!(list.selected().unwrap().cells[1], Cell::Number(9));
        // An explicit sort changes a frozen order.
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
