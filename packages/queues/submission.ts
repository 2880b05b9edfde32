/**
 * What crosses the wire when code is submitted, and what its job carries.
 *
 *     POST /submissions {"language":"javascript","code":"print(input.length)","input":"abc","expected":"3"}
 *     202 Location: /submissions/5f...
 *
 *     GET /submissions/5f...                                  200, Retry-After while it is not done
 *     {"id":"5f...","at":"...","state":"done","verdict":{"outcome":"accepted","output":"3\n","cpuMs":4}}
 *
 *     GET /submissions/5f...  Accept: text/event-stream       the same object as an event `status`, at each change until it is done
 */
import { type FieldError, HttpProblem } from '@patterns/kit/problem';
import { isRecord } from './protocol.ts';

export const SUBMISSION_LIMITS = { codeBytes: 32 * 1024, inputBytes: 8 * 1024, expectedBytes: 8 * 1024 } as const;

/** More than the limits together: escapes make JSON longer than what it says. What is too long for a job the queue refuses. */
export const SUBMISSION_BODY_BYTES = 64 * 1024;

export interface Submission {
  readonly language: 'javascript';
  /** It finds `input`, a string, and answers with `print`. */
  readonly code: string;
  readonly input: string;
  /** What it should print, white space at the end aside. Without it, it is only run. */
  readonly expected?: string;
}

/** `finished`: ran to its end, and nothing was expected. `not-judged`: our fault, not the code's. */
export const OUTCOMES = [
  'accepted',
  'wrong-answer',
  'finished',
  'runtime-error',
  'time-limit',
  'memory-limit',
  'output-limit',
  'not-judged',
] as const;
export type Outcome = (typeof OUTCOMES)[number];

export interface Verdict {
  readonly outcome: Outcome;
  /** What it printed, up to the limit; with `output-limit` there was more. */
  readonly output: string;
  readonly error?: string;
  readonly cpuMs: number;
}

export interface SubmissionStatus {
  readonly id: string;
  /** When it came, as RFC 3339. */
  readonly at: string;
  /** `running`: somebody has begun; if that worker dies, somebody else begins again. */
  readonly state: 'queued' | 'running' | 'done';
  readonly verdict: Verdict | null;
}

/** @throws {HttpProblem} 400 that says everything that is wrong with it, each with a JSON pointer [RFC 6901]. */
export function parseSubmission(body: unknown): Submission {
  const { language, code, input = '', expected } = isRecord(body) ? body : {};
  const errors: FieldError[] = [];
  if (!isRecord(body)) errors.push({ field: '', expected: 'an object' });
  if (language !== 'javascript') errors.push({ field: '/language', expected: 'javascript' });
  if (!isText(code, SUBMISSION_LIMITS.codeBytes) || code === '')
    errors.push(atMost('/code', SUBMISSION_LIMITS.codeBytes));
  if (!isText(input, SUBMISSION_LIMITS.inputBytes)) errors.push(atMost('/input', SUBMISSION_LIMITS.inputBytes));
  if (expected !== undefined && !isText(expected, SUBMISSION_LIMITS.expectedBytes)) {
    errors.push(atMost('/expected', SUBMISSION_LIMITS.expectedBytes));
  }
  if (errors.length > 0) throw new HttpProblem(400, { detail: 'the submission cannot be understood', errors });
  return { language: 'javascript', code, input, ...(expected !== undefined && { expected }) } as Submission;
}

/** @throws {TypeError} when it is not what the server answers. */
export function parseSubmissionStatus(body: unknown): SubmissionStatus {
  const { id, at, state, verdict = null } = isRecord(body) ? body : {};
  if (typeof id !== 'string' || typeof at !== 'string') throw new TypeError('not a submission');
  if (state !== 'queued' && state !== 'running' && state !== 'done') throw new TypeError('not a submission');
  if ((state === 'done') !== isVerdict(verdict)) throw new TypeError('not a submission');
  return { id, at, state, verdict: verdict as Verdict | null };
}

function isVerdict(value: unknown): value is Verdict {
  return (
    isRecord(value) &&
    OUTCOMES.includes(value.outcome as Outcome) &&
    typeof value.output === 'string' &&
    typeof value.cpuMs === 'number'
  );
}

function isText(value: unknown, bytes: number): value is string {
  return typeof value === 'string' && Buffer.byteLength(value) <= bytes;
}

function atMost(field: string, bytes: number): FieldError {
  return { field, expected: `a string of at most ${bytes} bytes${field === '/code' ? ', and not empty' : ''}` };
}
