//! AWS STS: who somebody's keys are.

use super::client::Client;
use super::endpoint::Service;
use super::errors::RequestError;
use super::query::{Form, Query};
use super::xml;

const STS: Query = Query {
    service: Service::Sts,
    version: "2011-06-15",
};

/// Who asks.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Identity {
    /// Twelve digits.
    pub account: String,
    /// A user, or a role that was taken on.
    pub arn: String,
}

impl Identity {
    /// The ARN whose policies hold: a role instead of the session that took it on.
    pub fn principal(&self) -> String {
        // `arn:aws:sts::1:assumed-role/Role/session` is `arn:aws:iam::1:role/Role`.
        let parts: Vec<&str> = self.arn.splitn(6, ':').collect();
        let role = match parts[..] {
            ["arn", partition, "sts", _, account, resource] => resource
                .strip_prefix("assumed-role/")
                .and_then(|rest| rest.rsplit_once('/'))
                .map(|(role, _)| format!("arn:{partition}:iam::{account}:role/{role}")),
            _ => None,
        };
        role.unwrap_or_else(|| self.arn.clone())
    }
}

/// Needs no permission.
///
/// # Errors
/// `Denied` where the keys are not known, or no longer.
pub fn identity(client: &Client) -> Result<Identity, RequestError> {
    STS.ask(client, "sts:GetCallerIdentity", Form::default(), |document| {
        let result = xml::find(document, "GetCallerIdentityResult").unwrap_or(document.root_element());
        Identity {
            account: xml::text(result, "Account"),
            arn: xml::text(result, "Arn"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_acts_by_its_role() {
        let of = |arn: &str| {
            let identity = Identity {
                account: "1".to_owned(),
                arn: arn.to_owned(),
            };
            identity.principal()
        };
        assert_eq!(
            of("arn:aws-cn:sts::1:assumed-role/Deploy/anna"),
            "arn:aws-cn:iam::1:role/Deploy"
        );
        assert_eq!(of("arn:aws:iam::1:user/anna"), "arn:aws:iam::1:user/anna");
    }
}
