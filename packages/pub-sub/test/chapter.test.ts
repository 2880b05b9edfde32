import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { kafkaGuarantees } from '../kafka.ts';
import { redisPubSubGuarantees } from '../redis-pubsub.ts';
import { redisStreamsGuarantees } from '../redis-streams.ts';

test('the chapter shows what each broker declares', () => {
  const brokers = [redisPubSubGuarantees, redisStreamsGuarantees, kafkaGuarantees];
  const rows = Object.keys(redisPubSubGuarantees).map((clause) => {
    const cells = brokers.map((declared) => (declared[clause as keyof typeof declared] === true ? 'kept' : 'not kept'));
    return `| \`${clause}\` | ${cells.join(' | ')} |`;
  });
  const table = ['| | redis-pubsub | redis-streams | kafka |', '| --- | --- | --- | --- |', ...rows].join('\n');
  expect(readFileSync(new URL('../README.md', import.meta.url), 'utf8')).toContain(table);
});
