/**
 * What crosses the wire: one report, to be had in two ways.
 *
 *     GET    /report?account=7&rows=1000   the phone: 200 the report, as soon as it is computed; stay on the line
 *     POST   /reports                      the e-mail: 202, and the Location of a status resource [RFC 9110 §15.3.3]
 *     GET    /reports/:id                  200 where it stands, and Retry-After; 303 to the result when it is done [§15.4.4];
 *                                          500 when it failed for good, 410 when it was cancelled or is no longer kept
 *     GET    /reports/:id/result           200 the report
 *     DELETE /reports/:id                  204 it is cancelled; 409 when it is finished already
 *     GET    /ping                         somebody else, who wants next to nothing
 *
 * Every refusal is application/problem+json. What comes from the other side is `unknown` until a function below has read it.
 */
import { type FieldError, HttpProblem } from '@patterns/kit/problem';

export const REPORT_PATH = '/report';
export const REPORTS_PATH = '/reports';
export const PING_PATH = '/ping';

/** Time is what a request costs here, and the caller chooses how much: so there is a most, and a smaller one by phone. */
export const LIMITS = { account: 999_999, rows: 50_000_000, rowsByPhone: 10_000_000, bodyBytes: 1_024 } as const;

export interface ReportRequest {
  readonly account: number;
  /** How many rows of the ledger. */
  readonly rows: number;
}

export interface Report extends ReportRequest {
  /** In cents, like all amounts. */
  readonly balance: number;
  readonly totals: Readonly<Record<string, number>>;
  /** Over every row: two computations of one report can be compared. */
  readonly checksum: string;
}

/** `queued` and `running` pass; the others are final. */
export type State = 'queued' | 'running' | 'done' | 'failed' | 'cancelled' | 'expired';

export interface Status {
  readonly id: string;
  readonly state: State;
  /** 1 for the first worker; more when workers died over it. */
  readonly attempts: number;
}

/**
 * Reads what a report is wanted of, from a body or a query string, and says everything that is wrong with it.
 * @throws {HttpProblem} 400.
 */
export function parseRequest(value: unknown, mostRows: number = LIMITS.rows): ReportRequest {
  const { account, rows } = isRecord(value) ? value : {};
  const errors: FieldError[] = [];
  const read = (field: string, given: unknown, most: number): number => {
    // A query string has only text. The length is checked before anything is made of it.
    const isDigits = typeof given === 'string' && given.length <= 9 && /^\d+$/.test(given);
    const number = isDigits ? Number(given) : given;
    if (Number.isInteger(number) && (number as number) >= 1 && (number as number) <= most) return number as number;
    errors.push({ field, expected: `an integer from 1 to ${most}` });
    return 0;
  };
  const request = { account: read('account', account, LIMITS.account), rows: read('rows', rows, mostRows) };
  if (errors.length > 0) throw new HttpProblem(400, { detail: 'no report can be made of this', errors });
  return request;
}

/**
 * Reads the field `Idempotency-Key`, with or without quotes. It may be missing: then the same request again is another report.
 * @throws {HttpProblem} 400 when it is malformed.
 */
export function readKey(field: string | undefined): string | undefined {
  if (field === undefined) return undefined;
  const key = /^"?([\w.-]{1,128})"?$/.exec(field)?.[1];
  if (key !== undefined) return key;
  throw new HttpProblem(400, {
    detail: 'the Idempotency-Key is malformed',
    errors: [{ field: 'Idempotency-Key', expected: 'a UUID, or up to 128 letters, digits, dots and dashes' }],
  });
}

/** @throws {TypeError} when it is not a report. */
export function parseReport(body: unknown): Report {
  if (!isRecord(body) || typeof body.checksum !== 'string' || !isRecord(body.totals))
    throw new TypeError('not a report');
  return body as unknown as Report;
}

/** @throws {TypeError} when it is not where a report stands. */
export function parseStatus(body: unknown): Status {
  if (!isRecord(body) || typeof body.id !== 'string' || typeof body.state !== 'string') {
    throw new TypeError('not a status');
  }
  return body as unknown as Status;
}

/** Reads a field `Retry-After`, which is seconds or a date [RFC 9110 §10.2.3]. @returns milliseconds, or what is usual. */
export function retryAfterMs(field: string | null, usualMs = 1_000, now = Date.now()): number {
  if (field === null) return usualMs;
  if (/^\d{1,6}$/.test(field)) return Number(field) * 1_000;
  const date = Date.parse(field);
  return Number.isNaN(date) ? usualMs : Math.max(0, date - now);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
