//! Amazon EC2: the subnets that tasks get their addresses from.

use super::client::Client;
use super::endpoint::Service;
use super::errors::RequestError;
use super::query::{Form, Query};
use super::xml;

const EC2: Query = Query {
    service: Service::Ec2,
    version: "2016-11-15",
};

/// A subnet.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Subnet {
    /// `subnet-…`
    pub id: String,
    /// `eu-west-1a`
    pub zone: String,
    /// Each task takes one.
    pub free_addresses: u64,
}

/// Subnets by their ids.
///
/// # Errors
/// `NotFound` where one of them is not there.
pub fn subnets(client: &Client, ids: &[String]) -> Result<Vec<Subnet>, RequestError> {
    let form = Form::default().list("SubnetId", ids.iter().map(String::as_str));
    EC2.ask(client, "ec2:DescribeSubnets", form, |document| {
        let items = xml::members(document.root_element(), "subnetSet");
        let subnet = |node| Subnet {
            id: xml::text(node, "subnetId"),
            zone: xml::text(node, "availabilityZone"),
            free_addresses: xml::text(node, "availableIpAddressCount").parse().unwrap_or_default(),
        };
        items.into_iter().map(subnet).collect()
    })
}
