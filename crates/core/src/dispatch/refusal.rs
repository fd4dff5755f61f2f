//! Why a worker was not started, or did not last: what AWS says, sorted by what there is to do about it.

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Too many calls: the same again, a little later.
    Throttled,
    /// AWS has no room now; later, or of another kind.
    Capacity,
    /// The account may not have so many at once.
    Quota,
    /// It may pass: the same again, and not for ever.
    Trouble,
    /// The same call would be refused again.
    Denied,
}

/// Words by which they are told, in small letters: of codes and of messages
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html>,
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html>).
const WORDS: &[(&str, Refusal)] = &[
    ("limit on the number of vcpus", Refusal::Quota),
    ("limitexceeded", Refusal::Quota),
    ("throttl", Refusal::Throttled),
    ("rate exceeded", Refusal::Throttled),
    ("toomanyrequests", Refusal::Throttled),
    ("requestlimitexceeded", Refusal::Throttled),
    ("capacity is unavailable", Refusal::Capacity),
    ("resource:", Refusal::Capacity),
    ("insufficient", Refusal::Capacity),
    ("accessdenied", Refusal::Denied),
    ("not authorized", Refusal::Denied),
    ("invalidparameter", Refusal::Denied),
    ("clusternotfound", Refusal::Denied),
    ("platformunknown", Refusal::Denied),
    ("incompatibility", Refusal::Denied),
    ("unsupportedfeature", Refusal::Denied),
    ("blocked", Refusal::Denied),
    ("clientexception", Refusal::Denied),
];

impl Refusal {
    /// Of a code and a message, of a failure's reason, or of why a task was stopped.
    pub(super) fn of(text: &str) -> Refusal {
        let text = text.to_lowercase();
        let known = WORDS.iter().find(|(word, _)| text.contains(word));
        known.map_or(Refusal::Trouble, |(_, refusal)| *refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_aws_says_is_sorted() {
        let cases = [
            ("ThrottlingException: Rate exceeded", Refusal::Throttled),
            (
                "Capacity is unavailable at this time. Please try again later or in a different availability zone",
                Refusal::Capacity,
            ),
            ("RESOURCE:ENI", Refusal::Capacity),
            (
                "You've reached the limit on the number of vCPUs you can run concurrently",
                Refusal::Quota,
            ),
            (
                "AccessDeniedException: not authorized to perform: iam:PassRole",
                Refusal::Denied,
            ),
            ("ClientException: TaskDefinition is inactive", Refusal::Denied),
            ("CannotPullContainerError: manifest unknown", Refusal::Trouble),
            ("ServerException: Service Unavailable", Refusal::Trouble),
        ];
        for (text, refusal) in cases {
            assert_eq!(Refusal::of(text), refusal, "{text}");
        }
    }
}
