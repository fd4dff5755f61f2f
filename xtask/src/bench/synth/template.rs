//! What a CloudFormation template comes to: how many resources, which of them are always on, and what a month costs in which nothing runs.

use serde_json::Value;

use super::super::prices::{self, ADDRESS, ALARM, ENDPOINT, KEY, MONTH, NAT, SECRET};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Template {
    pub(super) resources: usize,
    /// Resources that are paid for by the hour.
    pub(super) always_on: usize,
    /// What is paid for though nothing runs: dollars a month, and for what.
    pub(super) idle: Vec<(f64, String)>,
}

impl Template {
    pub(super) fn of(template: &Value) -> Template {
        let all: Vec<&Value> = template["Resources"]
            .as_object()
            .into_iter()
            .flat_map(|all| all.values())
            .collect();
        let of = |kind: &str| -> Vec<&Value> {
            let of = all.iter().filter(|resource| resource["Type"] == kind);
            of.map(|resource| &resource["Properties"]).collect()
        };
        let gateways = of("AWS::EC2::NatGateway").len();
        let addresses = of("AWS::EC2::EIP").len();
        let endpoints = of("AWS::EC2::VPCEndpoint").into_iter();
        let endpoints: usize = endpoints
            .filter(|endpoint| endpoint["VpcEndpointType"] == "Interface")
            .map(|endpoint| endpoint["SubnetIds"].as_array().map_or(1, Vec::len))
            .sum();
        let services = of("AWS::ECS::Service");
        let scaled = of("AWS::ApplicationAutoScaling::ScalableTarget");
        let tasks = match services.first() {
            // What a service is scaled to is what stays; one that is not scaled has what it wants, or one.
            Some(service) => number(
                scaled
                    .first()
                    .map_or(&service["DesiredCount"], |target| &target["MinCapacity"]),
            )
            .unwrap_or(1.0),
            None => 0.0,
        };
        let hourly: f64 = of("AWS::ECS::TaskDefinition").first().map_or(0.0, |definition| {
            let of = |key: &str| number(&definition[key]).unwrap_or(0.0) / 1024.0;
            prices::task(of("Cpu"), of("Memory"))
        });
        let tracking = of("AWS::ApplicationAutoScaling::ScalingPolicy").into_iter();
        let tracking = tracking
            .filter(|policy| policy["PolicyType"] == "TargetTrackingScaling")
            .count();
        let alarms = of("AWS::CloudWatch::Alarm").len() + 2 * tracking;
        let items = [
            (gateways, NAT * MONTH, "NAT gateway"),
            (addresses, ADDRESS * MONTH, "address of a gateway"),
            (endpoints, ENDPOINT * MONTH, "interface endpoint"),
            (tasks as usize, hourly * MONTH, "task of the service"),
            (alarms, ALARM, "alarm"),
            (of("AWS::KMS::Key").len(), KEY, "key"),
            (of("AWS::SecretsManager::Secret").len(), SECRET, "secret"),
        ];
        let idle = items.into_iter().filter(|(count, ..)| *count > 0);
        Template {
            resources: all
                .iter()
                .filter(|resource| resource["Type"] != "AWS::CDK::Metadata")
                .count(),
            always_on: gateways + addresses + endpoints + if tasks > 0.0 { services.len() } else { 0 },
            idle: idle
                .map(|(count, each, what)| (count as f64 * each, format!("{count} × {what}")))
                .collect(),
        }
    }

    pub(super) fn dollars(&self) -> f64 {
        self.idle.iter().fold(0.0, |sum, (dollars, _)| sum + dollars)
    }
}

/// Templates write numbers as numbers or as text.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_behind_gateways_costs_by_the_hour() {
        let template = json!({ "Resources": {
            "A": { "Type": "AWS::EC2::NatGateway" },
            "B": { "Type": "AWS::EC2::EIP" },
            "C": { "Type": "AWS::ECS::Service", "Properties": {} },
            "D": { "Type": "AWS::ECS::TaskDefinition", "Properties": { "Cpu": "256", "Memory": "512" } },
            "E": { "Type": "AWS::ApplicationAutoScaling::ScalableTarget", "Properties": { "MinCapacity": 1 } },
            "F": { "Type": "AWS::ApplicationAutoScaling::ScalingPolicy", "Properties": { "PolicyType": "TargetTrackingScaling" } },
            "G": { "Type": "AWS::CDK::Metadata" },
        } });
        let seen = Template::of(&template);
        assert_eq!((seen.resources, seen.always_on), (6, 3));
        // 32.85 the gateway, 3.65 its address, 9.01 a quarter of a vCPU with half a GiB, 0.20 two alarms that tracking makes.
        assert!((seen.dollars() - 45.71).abs() < 0.01, "{seen:?}");
    }

    #[test]
    fn what_is_scaled_to_nothing_and_what_is_free_costs_nothing() {
        let template = json!({ "Resources": {
            "A": { "Type": "AWS::EC2::VPCEndpoint", "Properties": { "VpcEndpointType": "Gateway" } },
            "C": { "Type": "AWS::ECS::Service", "Properties": { "DesiredCount": 4 } },
            "D": { "Type": "AWS::ECS::TaskDefinition", "Properties": { "Cpu": "1024", "Memory": "2048" } },
            "E": { "Type": "AWS::ApplicationAutoScaling::ScalableTarget", "Properties": { "MinCapacity": 0 } },
        } });
        let seen = Template::of(&template);
        assert_eq!((seen.resources, seen.always_on, seen.dollars()), (4, 0, 0.0));
    }
}
