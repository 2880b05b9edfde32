/** The guarantees on SQS' protocol, as fauxqs speaks it. */
import { afterAll, beforeAll } from 'vitest';
import { type SqsEmulator, startSqsEmulator } from '../sqs-emulator.ts';
import { SQS_GUARANTEES } from '../sqs-guarantees.ts';
import { guaranteesOf } from './guarantees.ts';
import { startSqsRig } from './sqs-rig.ts';

let emulator: SqsEmulator;
beforeAll(async () => {
  emulator = await startSqsEmulator();
});
afterAll(() => emulator[Symbol.asyncDispose]());

guaranteesOf({ name: 'sqs', guarantees: SQS_GUARANTEES, start: () => startSqsRig(emulator.url, { fifo: false }) });
