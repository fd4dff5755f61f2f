import { App, Duration, Stack } from 'aws-cdk-lib';
import { SubnetType, Vpc } from 'aws-cdk-lib/aws-ec2';
import { ContainerImage } from 'aws-cdk-lib/aws-ecs';
import { QueueProcessingFargateService } from 'aws-cdk-lib/aws-ecs-patterns';

const stack = new Stack(new App(), 'Retrain');
const vpc = new Vpc(stack, 'Vpc', {
  natGateways: 0,
  subnetConfiguration: [{ name: 'public', subnetType: SubnetType.PUBLIC }],
});
new QueueProcessingFargateService(stack, 'Service', {
  vpc,
  assignPublicIp: true,
  image: ContainerImage.fromRegistry('123456789012.dkr.ecr.eu-west-1.amazonaws.com/retrain:1'),
  cpu: 1024,
  memoryLimitMiB: 2048,
  visibilityTimeout: Duration.hours(2),
  minScalingCapacity: 0,
  maxScalingCapacity: 100,
  disableCpuBasedScaling: true,
  cooldown: Duration.minutes(1),
  scalingSteps: [
    { upper: 0, change: -100 },
    { lower: 1, change: +100 },
  ],
});
