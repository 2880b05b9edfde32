/** The guarantees of a FIFO queue on SQS' protocol: what its order costs. */
import { afterAll, beforeAll } from 'vitest';
import { type SqsEmulator, startSqsEmulator } from '../sqs-emulator.ts';
import { SQS_FIFO_GUARANTEES } from '../sqs-guarantees.ts';
import { guaranteesOf } from './guarantees.ts';
import { startSqsRig } from './sqs-rig.ts';

let emulator: SqsEmulator;
beforeAll(async () => {
  emulator = await startSqsEmulator();
});
afterAll(() => emulator[Symbol.asyncDispose]());

guaranteesOf({
  name: 'sqs-fifo',
  guarantees: SQS_FIFO_GUARANTEES,
  start: (clause) => startSqsRig(emulator.url, { fifo: true, clause }),
});
