//! `registry`: the repository of the stack, where its images are pushed. A stack that has none yet is made with its bucket and repository alone, and
//! grows into the whole afterwards.

use std::collections::BTreeMap;

use kingtide_remote::request::{OrAbsent as _, ecr};
use kingtide_remote::wire::{Base, Event, FailureKind, ImagePlace, Registry, Repository};

use super::change::{self, Change};
use crate::failure::{Failure, Outcome};
use crate::site::{Site, output};

/// A tag of ECR is not longer.
const MOST_TAG: usize = 128;

pub(crate) fn registry(site: &mut Site<'_>, base: &Base, images: &[Repository]) -> Outcome {
    let stack = match change::ready(site)? {
        Some(stack) => stack,
        None => {
            let change = Change {
                template: &base.template,
                parameters: &BTreeMap::new(),
                tags: &base.tags,
            };
            change::make(site, None, &change)?
        }
    };
    let uri = output(&stack, "Repository")?;
    let (host, repository) = uri
        .split_once('/')
        .ok_or_else(|| Failure::new(FailureKind::Stack, format!("`{uri}` is no repository")))?;
    let login = ecr::login(site.client)?;
    let mut places = Vec::new();
    for image in images {
        let tag = tag(image);
        let known = ecr::image(site.client, repository, &tag).or_absent()?;
        places.push(ImagePlace {
            repository: repository.to_owned(),
            digest: known.map(|image| image.image_digest),
            tag,
        });
    }
    site.say(Event::Registry(Registry {
        host: host.to_owned(),
        user: login.user,
        password: login.password,
        places,
    }))
}

/// What is in an image and which one it is, in letters that tags may have.
fn tag(image: &Repository) -> String {
    let plain = |text: &str| -> String {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '-');
        text.chars()
            .map(|letter| if allowed(letter) { letter } else { '-' })
            .collect()
    };
    let mut name = plain(&image.name);
    name.truncate(MOST_TAG.saturating_sub(image.tag.len() + 1));
    let name = name.trim_start_matches(['.', '-']);
    format!("{name}-{}", plain(&image.tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_says_what_is_in_an_image_and_which_one_it_is() {
        let of = |name: &str, tag: &str| {
            let image = Repository {
                name: name.to_owned(),
                tag: tag.to_owned(),
            };
            super::tag(&image)
        };
        assert_eq!(of("flights/retrain", "0a1b"), "flights-retrain-0a1b");
        let long = of(&"j".repeat(300), "0a1b");
        assert_eq!((long.len(), long.ends_with("j-0a1b")), (128, true));
    }
}
