//! Which properties of a resource cannot be changed in place: CloudFormation makes a new one, and removes the old.

/// Where the table is from.
pub const SOURCE: &str =
    "`createOnlyProperties` of CloudFormation's resource schemas of 2026-10-20, as cfn-lint 1.58 has them";

/// By the kind of resource, properties by their first names; those that only sometimes replace are counted among them.
const REPLACED: &[(&str, &[&str])] = &[
    (
        "AWS::ApplicationAutoScaling::ScalableTarget",
        &["ResourceId", "ScalableDimension", "ServiceNamespace"],
    ),
    (
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        &[
            "PolicyName",
            "ResourceId",
            "ScalableDimension",
            "ScalingTargetId",
            "ServiceNamespace",
        ],
    ),
    (
        "AWS::AutoScaling::AutoScalingGroup",
        &["AutoScalingGroupName", "InstanceId"],
    ),
    ("AWS::Budgets::Budget", &["NotificationsWithSubscribers"]),
    ("AWS::CloudWatch::Alarm", &["AlarmName"]),
    (
        "AWS::EC2::Route",
        &[
            "DestinationCidrBlock",
            "DestinationIpv6CidrBlock",
            "DestinationPrefixListId",
            "RouteTableId",
        ],
    ),
    ("AWS::EC2::LaunchTemplate", &["LaunchTemplateName"]),
    ("AWS::EC2::RouteTable", &["VpcId"]),
    ("AWS::EC2::SecurityGroup", &["GroupDescription", "GroupName", "VpcId"]),
    (
        "AWS::EC2::Subnet",
        &[
            "AvailabilityZone",
            "AvailabilityZoneId",
            "CidrBlock",
            "Ipv6CidrBlock",
            "OutpostArn",
            "VpcId",
        ],
    ),
    ("AWS::EC2::SubnetRouteTableAssociation", &["RouteTableId", "SubnetId"]),
    (
        "AWS::EC2::VPC",
        &["CidrBlock", "InstanceTenancy", "Ipv4IpamPoolId", "Ipv4NetmaskLength"],
    ),
    (
        "AWS::EC2::VPCEndpoint",
        &["ServiceName", "ServiceRegion", "VpcEndpointType", "VpcId"],
    ),
    ("AWS::EC2::VPCGatewayAttachment", &["VpcId"]),
    ("AWS::ECR::Repository", &["EncryptionConfiguration", "RepositoryName"]),
    ("AWS::ECS::CapacityProvider", &["ClusterName", "Name"]),
    ("AWS::ECS::Cluster", &["ClusterName"]),
    ("AWS::ECS::ClusterCapacityProviderAssociations", &["Cluster"]),
    (
        "AWS::ECS::Service",
        &["Cluster", "LaunchType", "Role", "SchedulingStrategy", "ServiceName"],
    ),
    (
        // A new revision: what runs keeps the old one.
        "AWS::ECS::TaskDefinition",
        &[
            "ContainerDefinitions",
            "Cpu",
            "EnableFaultInjection",
            "EphemeralStorage",
            "ExecutionRoleArn",
            "Family",
            "InferenceAccelerators",
            "IpcMode",
            "Memory",
            "NetworkMode",
            "PidMode",
            "PlacementConstraints",
            "ProxyConfiguration",
            "RequiresCompatibilities",
            "RuntimePlatform",
            "TaskRoleArn",
            "Volumes",
        ],
    ),
    ("AWS::Events::ApiDestination", &["Name"]),
    ("AWS::Events::Connection", &["Name"]),
    ("AWS::Events::Rule", &["EventBusName", "Name"]),
    ("AWS::IAM::InstanceProfile", &["InstanceProfileName", "Path"]),
    ("AWS::IAM::ManagedPolicy", &["Description", "ManagedPolicyName", "Path"]),
    ("AWS::IAM::Role", &["Path", "RoleName"]),
    ("AWS::Lambda::Function", &["FunctionName", "PackageType"]),
    ("AWS::Logs::LogGroup", &["LogGroupName"]),
    ("AWS::Pipes::Pipe", &["Name", "Source"]),
    (
        "AWS::S3::Bucket",
        &["BucketName", "BucketNamePrefix", "BucketNamespace"],
    ),
    ("AWS::S3::BucketPolicy", &["Bucket"]),
    ("AWS::SNS::Subscription", &["Endpoint", "Protocol", "TopicArn"]),
    ("AWS::SNS::Topic", &["FifoTopic", "TopicName"]),
    ("AWS::SQS::Queue", &["FifoQueue", "QueueName"]),
    ("AWS::Scheduler::Schedule", &["Name"]),
    ("AWS::Scheduler::ScheduleGroup", &["Name"]),
    (
        "AWS::StepFunctions::StateMachine",
        &["StateMachineName", "StateMachineType"],
    ),
];

/// Whether a change of this property (`RedrivePolicy.maxReceiveCount`) makes a new resource.
pub(super) fn replaces(kind: &str, path: &str) -> bool {
    let first = path.split('.').next().unwrap_or(path);
    REPLACED
        .iter()
        .any(|(of, properties)| *of == kind && properties.contains(&first))
}
