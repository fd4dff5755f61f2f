//! A page of rows: as many as were asked for and as fit, so that a reader's memory is bounded whatever the rows hold.

/// A page that would have more bytes of bodies ends earlier; it has one row at least.
pub const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// Rows, and from where the next page goes on.
#[derive(Clone, Debug)]
pub struct Page<T, P> {
    pub rows: Vec<T>,
    /// `None` when there are no more.
    pub next: Option<P>,
    limit: usize,
    bytes: usize,
    last: Option<P>,
}

impl<T, P: Clone> Page<T, P> {
    pub(super) fn new(limit: usize) -> Page<T, P> {
        Page {
            rows: Vec::new(),
            next: None,
            limit: limit.max(1),
            bytes: 0,
            last: None,
        }
    }

    /// Adds a row that lies at this place; `false` when it does not fit any more and is the next page's.
    pub(super) fn add(&mut self, bytes: usize, place: P, row: T) -> bool {
        if self.room() == 0 || (!self.rows.is_empty() && self.bytes + bytes > PAGE_BYTES) {
            self.next.clone_from(&self.last);
            return false;
        }
        self.bytes += bytes;
        self.last = Some(place);
        self.rows.push(row);
        true
    }

    /// How many more rows were asked for.
    pub(super) fn room(&self) -> usize {
        self.limit - self.rows.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.next.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_with_its_rows_or_its_bytes() {
        let mut page = Page::new(2);
        assert!(page.add(1, 'a', 1) && page.add(1, 'b', 2));
        assert_eq!(
            (page.rows.len(), page.next),
            (2, None),
            "nothing says yet that there is more"
        );
        assert!(!page.add(1, 'c', 3));
        assert_eq!((page.rows.len(), page.next), (2, Some('b')));
        let mut page = Page::new(10);
        assert!(page.add(2 * PAGE_BYTES, 'a', 1), "one at least, however large");
        assert!(!page.add(1, 'b', 2));
        assert_eq!(page.next, Some('a'));
    }
}
