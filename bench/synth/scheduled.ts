import { App, Stack } from 'aws-cdk-lib';
import { Schedule } from 'aws-cdk-lib/aws-applicationautoscaling';
import { ContainerImage } from 'aws-cdk-lib/aws-ecs';
import { ScheduledFargateTask } from 'aws-cdk-lib/aws-ecs-patterns';

const stack = new Stack(new App(), 'Nightly');
new ScheduledFargateTask(stack, 'Task', {
  schedule: Schedule.cron({ minute: '0', hour: '6', weekDay: 'MON' }),
  scheduledFargateTaskImageOptions: {
    image: ContainerImage.fromRegistry('123456789012.dkr.ecr.eu-west-1.amazonaws.com/nightly:1'),
    cpu: 1024,
    memoryLimitMiB: 2048,
  },
});
