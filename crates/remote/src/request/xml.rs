//! Documents of the services that answer in XML.

use roxmltree::{Document, Error, Node, ParsingOptions};

/// Reads one.
pub(super) fn read(text: &str) -> Result<Document<'_>, Error> {
    // No service has a document type, and one that is not read cannot do harm.
    Document::parse_with_options(
        text,
        ParsingOptions {
            allow_dtd: false,
            ..ParsingOptions::default()
        },
    )
}

/// The child of a name, whatever its namespace.
pub(super) fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|child| child.tag_name().name() == name)
}

/// The text of a child; empty where there is none.
pub(super) fn text(node: Node<'_, '_>, name: &str) -> String {
    let text = child(node, name).and_then(|child| child.text());
    text.unwrap_or_default().trim().to_owned()
}

/// The text of a child that may be missing.
pub(super) fn maybe(node: Node<'_, '_>, name: &str) -> Option<String> {
    Some(text(node, name)).filter(|text| !text.is_empty())
}

/// The `member`s (or `item`s) of a list.
pub(super) fn members<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Vec<Node<'a, 'i>> {
    let list = child(node, name).into_iter();
    list.flat_map(|list| list.children())
        .filter(|child| matches!(child.tag_name().name(), "member" | "item"))
        .collect()
}

/// The first element of a name, wherever it is.
pub(super) fn find<'a, 'i>(document: &'a Document<'i>, name: &str) -> Option<Node<'a, 'i>> {
    document.descendants().find(|node| node.tag_name().name() == name)
}
