/**
 * What runs in a thread of the pool: one report at a time. It shares one number with the thread that asked for it, and stops
 * when that is no longer 0. A message would not do: this thread reads its messages only when it has nothing to compute.
 */
import type { Report, ReportRequest } from './protocol.ts';
import { computeReport } from './report.ts';

export interface Task {
  readonly request: ReportRequest;
  /** Over a SharedArrayBuffer. */
  readonly stop: Int32Array;
}

export default function run({ request, stop }: Task): Report | undefined {
  return computeReport(request, () => Atomics.load(stop, 0) !== 0);
}
