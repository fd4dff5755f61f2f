//! What can be done with a stack as it stands, what people do where nothing can, and which event explains a failure. Pure.

use kingtide_remote::request::cloudformation::Event;

/// What a deploy does next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// There is none: make it.
    Create,
    /// Change it.
    Update,
    /// Something is under way, this deploy's own earlier try perhaps: wait for its end, then look again.
    Wait,
    /// Nothing can be done until somebody does this.
    Refuse(&'static str),
}

/// By CloudFormation's word for its state; `None` where there is no stack.
pub(super) fn step(status: Option<&str>) -> Step {
    match status {
        None | Some("REVIEW_IN_PROGRESS" | "DELETE_COMPLETE") => Step::Create,
        Some("ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "CREATE_FAILED") => Step::Refuse(
            "its first deploy failed, and nothing can be made of it: `kingtide destroy`, then deploy again",
        ),
        Some("UPDATE_ROLLBACK_FAILED") => Step::Refuse(
            "bring it back by `aws cloudformation continue-update-rollback --stack-name` and its name (resources that hinder it are named in \
             its events), then deploy again",
        ),
        Some("DELETE_FAILED") => Step::Refuse("its removal failed: `kingtide destroy` once more says what hinders it"),
        Some("DELETE_IN_PROGRESS") => Step::Refuse("it is being removed: deploy again when it is gone"),
        Some(status) if status.ends_with("_IN_PROGRESS") => Step::Wait,
        Some(_) => Step::Update,
    }
}

/// Whether nothing more will happen by itself.
pub(super) fn is_over(status: &str) -> bool {
    !status.ends_with("_IN_PROGRESS")
}

/// Whether what was wanted has come.
pub(super) fn is_well(status: &str) -> bool {
    matches!(status, "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE")
}

/// The event that the others follow from: the first failure that is not the end of something else's.
pub(super) fn root(events: &[Event]) -> Option<&Event> {
    let failed = || events.iter().filter(|event| event.status.ends_with("_FAILED"));
    let is_own = |event: &&Event| {
        let reason = event.reason.as_deref().unwrap_or_default().to_ascii_lowercase();
        !reason.contains("cancelled") && event.kind != "AWS::CloudFormation::Stack"
    };
    failed().find(is_own).or_else(|| failed().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_its_step() {
        for (status, expected) in [
            (None, Step::Create),
            (Some("REVIEW_IN_PROGRESS"), Step::Create),
            (Some("CREATE_COMPLETE"), Step::Update),
            (Some("UPDATE_ROLLBACK_COMPLETE"), Step::Update),
            (Some("CREATE_IN_PROGRESS"), Step::Wait),
            (Some("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"), Step::Wait),
            (Some("ROLLBACK_IN_PROGRESS"), Step::Wait),
        ] {
            assert_eq!(step(status), expected, "{status:?}");
        }
        for status in [
            "ROLLBACK_COMPLETE",
            "UPDATE_ROLLBACK_FAILED",
            "DELETE_FAILED",
            "DELETE_IN_PROGRESS",
        ] {
            assert!(matches!(step(Some(status)), Step::Refuse(_)), "{status}");
        }
    }

    #[test]
    fn a_failure_is_explained_by_what_came_first() {
        let event = |kind: &str, logical_id: &str, status: &str, reason: &str| Event {
            kind: kind.to_owned(),
            logical_id: logical_id.to_owned(),
            status: status.to_owned(),
            reason: Some(reason.to_owned()),
            ..Event::default()
        };
        let events = [
            event(
                "AWS::SQS::Queue",
                "Queue",
                "CREATE_FAILED",
                "Resource creation cancelled",
            ),
            event("AWS::IAM::Role", "Role", "CREATE_FAILED", "The policy is malformed"),
            event(
                "AWS::ECS::Cluster",
                "Cluster",
                "CREATE_FAILED",
                "Resource creation Cancelled",
            ),
            event(
                "AWS::CloudFormation::Stack",
                "s",
                "CREATE_FAILED",
                "The following resource(s) failed",
            ),
        ];
        assert_eq!(root(&events).map(|event| event.logical_id.as_str()), Some("Role"));
        assert_eq!(root(&events[3..]).map(|event| event.logical_id.as_str()), Some("s"));
        assert_eq!(root(&[]), None);
    }
}
