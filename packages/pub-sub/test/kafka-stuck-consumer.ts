/** A member of a group that takes a message and never finishes with it: `node kafka-stuck-consumer.ts <channel> <group>`. */
import { main } from '@patterns/kit/main';
import { KafkaBroker } from '../kafka.ts';

await main(async (stack) => {
  const [channel = '', group = ''] = process.argv.slice(2);
  const { KAFKA_BROKERS = '', KAFKA_PREFIX = '' } = process.env;
  const broker = stack.use(new KafkaBroker({ brokers: KAFKA_BROKERS.split(','), prefix: KAFKA_PREFIX }));
  const handler = ({ id }: { id: string }) => {
    console.log(`has ${id}`);
    return new Promise<void>(() => {});
  };
  await broker.subscribe(channel, handler, { group });
  console.log('joined');
});
