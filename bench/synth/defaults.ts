import { App, Stack } from 'aws-cdk-lib';
import { ContainerImage } from 'aws-cdk-lib/aws-ecs';
import { QueueProcessingFargateService } from 'aws-cdk-lib/aws-ecs-patterns';

const stack = new Stack(new App(), 'Retrain');
new QueueProcessingFargateService(stack, 'Service', {
  image: ContainerImage.fromRegistry('123456789012.dkr.ecr.eu-west-1.amazonaws.com/retrain:1'),
  cpu: 1024,
  memoryLimitMiB: 2048,
});
