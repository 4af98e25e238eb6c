//! Fits the parts of a text onto a screen.
//!
//! In: parts, each with a title and items, the most important first. Out: lines. Invariants: items
//! that are left out are counted, by kind; the first item of every part is shown, even if the text
//! is then too long.

use super::text::indented;

/// An item of a part: a gate, a row of a table.
pub(super) struct Item {
    pub(super) lines: Vec<String>,
    /// The word under which the item is counted if it is left out; may be empty.
    pub(super) kind: &'static str,
}

/// A part of a text.
pub(super) struct Part {
    /// Lines above the items.
    title: Vec<String>,
    /// The items, the most important first, each with the position at which it is shown.
    items: Vec<(usize, Item)>,
    /// Kinds of the items that are left out, the most important first.
    left_out: Vec<&'static str>,
    /// Whether items may be left out.
    yields: bool,
    /// Indent of the line that counts the items left out.
    indent: usize,
}

impl Part {
    /// A part that is always shown in full.
    pub(super) fn whole(lines: Vec<String>) -> Self {
        let kind = "";
        Self {
            title: Vec::new(),
            items: vec![(0, Item { lines, kind })],
            left_out: Vec::new(),
            yields: false,
            indent: 0,
        }
    }

    /// A part whose last items are left out if there are too few lines.
    pub(super) fn of(title: Vec<String>, items: Vec<Item>) -> Self {
        Self::placed(title, items.into_iter().enumerate().collect())
    }

    /// Like [`Self::of`], but the items are shown in the order of their places.
    pub(super) fn placed(title: Vec<String>, items: Vec<(usize, Item)>) -> Self {
        Self {
            title,
            items,
            left_out: Vec::new(),
            yields: true,
            indent: 2,
        }
    }

    /// This part with further items that are only counted.
    pub(super) fn and(self, left_out: Vec<&'static str>) -> Self {
        Self { left_out, ..self }
    }

    /// This part, with the line that counts the items left out indented by `indent`.
    pub(super) fn after(self, indent: usize) -> Self {
        Self { indent, ..self }
    }

    fn is_empty(&self) -> bool {
        self.items.is_empty() && self.left_out.is_empty()
    }

    /// Leaves the last item out.
    fn yield_one(&mut self) {
        if let Some((_, item)) = self.items.pop() {
            self.left_out.insert(0, item.kind);
        }
    }

    fn can_yield(&self) -> bool {
        self.yields && self.items.len() > 1
    }

    fn lines_of_items(&self) -> usize {
        self.items.iter().map(|(_, item)| item.lines.len()).sum()
    }

    /// The line that counts the items left out, wrapped at `width`.
    fn rest(&self, width: usize) -> Vec<String> {
        if self.left_out.is_empty() {
            return Vec::new();
        }
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for kind in &self.left_out {
            match counts.iter_mut().find(|(known, _)| known == kind) {
                Some((_, count)) => *count += 1,
                None => counts.push((kind, 1)),
            }
        }
        let kinds = counts.iter().filter(|(kind, _)| !kind.is_empty());
        let kinds: Vec<String> = kinds.map(|(kind, n)| format!("{n} {kind}")).collect();
        let count = match self.items.len() {
            0 => format!("{} in all", self.left_out.len()),
            _ => format!("and {} more", self.left_out.len()),
        };
        let text = match kinds.is_empty() {
            true => format!("{count} (--details)"),
            false => format!("{count}: {} (--details)", kinds.join(", ")),
        };
        indented(&text, self.indent, width)
    }

    /// The number of [`Self::lines`].
    fn height(&self, width: usize) -> usize {
        match self.is_empty() {
            true => 0,
            false => self.title.len() + self.lines_of_items() + self.rest(width).len(),
        }
    }

    fn lines(&self, width: usize) -> Vec<String> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut items: Vec<&(usize, Item)> = self.items.iter().collect();
        items.sort_by_key(|(place, _)| place);
        let items = items.into_iter().flat_map(|(_, item)| &item.lines);
        let title = self.title.iter().chain(items).cloned();
        title.chain(self.rest(width)).collect()
    }
}

/// The parts one after another, with as many items as fit in `lines` lines of `width` columns. The
/// part with the most lines is shortened first.
pub(super) fn fit(mut parts: Vec<Part>, lines: usize, width: usize) -> Vec<String> {
    // Shorten parts that are far too long without measuring after each item.
    for part in parts.iter_mut().filter(|part| part.yields) {
        while part.items.len() > lines.max(1) {
            part.yield_one();
        }
    }
    let mut heights: Vec<usize> = parts.iter().map(|part| part.height(width)).collect();
    while heights.iter().sum::<usize>() > lines {
        let most = parts.iter_mut().zip(&mut heights);
        let most = most.filter(|(part, _)| part.can_yield());
        let Some((part, height)) = most.max_by_key(|(part, _)| part.lines_of_items()) else {
            break;
        };
        part.yield_one();
        *height = part.height(width);
    }
    parts.iter().flat_map(|part| part.lines(width)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(texts: &[&str]) -> Vec<Item> {
        let item = |text: &&str| Item {
            lines: text.split('|').map(str::to_owned).collect(),
            kind: "pass",
        };
        texts.iter().map(item).collect()
    }

    fn part(texts: &[&str]) -> Part {
        Part::of(vec!["title".to_owned()], items(texts))
    }

    #[test]
    fn items_that_do_not_fit_are_counted() {
        let shown = |lines| fit(vec![part(&["a", "b|c", "d"])], lines, 80);
        assert_eq!(
            shown(5),
            ["title", "a", "b|c", "d"]
                .join("|")
                .split('|')
                .collect::<Vec<_>>()
        );
        assert_eq!(shown(4), ["title", "a", "  and 2 more: 2 pass (--details)"]);
        // The first item is always shown.
        assert_eq!(shown(0).len(), 3);
    }

    #[test]
    fn the_longest_part_is_shortened_first_and_whole_parts_never() {
        let whole = Part::whole(vec!["w".to_owned(); 3]);
        let parts = vec![whole, part(&["a", "b"]), part(&["1", "2", "3", "4"])];
        let shown = fit(parts, 10, 80);
        let expected = "w w w title a b title 1 2";
        assert_eq!(shown[..9].join(" "), expected);
        assert_eq!(shown[9..], ["  and 2 more: 2 pass (--details)"]);
    }

    #[test]
    fn placed_items_keep_their_order_and_the_rest_is_counted() {
        let placed = [2, 0].into_iter().zip(items(&["weighty", "light"]));
        let part = Part::placed(Vec::new(), placed.collect());
        let part = part.and(vec!["FAIL", "pass", "FAIL"]);
        let shown = fit(vec![part], 9, 80);
        assert_eq!(
            shown,
            [
                "light",
                "weighty",
                "  and 3 more: 2 FAIL, 1 pass (--details)"
            ]
        );
        let none = Part::of(vec!["title".to_owned()], Vec::new());
        assert!(fit(vec![none], 9, 80).is_empty());
        let counted = Part::of(Vec::new(), Vec::new()).and(vec!["pass"; 20]);
        assert_eq!(
            fit(vec![counted], 9, 80),
            ["  20 in all: 20 pass (--details)"]
        );
    }
}
