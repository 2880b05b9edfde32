/**
 * How a contract is read: what is needed is demanded, and what is not known is left alone, so that whoever is asked may add
 * fields before whoever asks has heard of them (tolerant reader).
 */
import { HttpProblem } from '@patterns/kit/problem';

/** An object's fields, before anything is known of them. `field` is a JSON pointer. @throws {HttpProblem} 400 */
export function fieldsOf(value: unknown, field: string): Record<string, unknown> {
  demand(field, typeof value === 'object' && value !== null && !Array.isArray(value), 'an object');
  return value as Record<string, unknown>;
}

/** @throws {HttpProblem} 400 unless `holds` */
export function demand(field: string, holds: boolean, expected: string): void {
  if (!holds) throw new HttpProblem(400, { detail: 'the body is not as it should be', errors: [{ field, expected }] });
}

export function isText(value: unknown, maxLength: number): value is string {
  return typeof value === 'string' && value.length >= 1 && value.length <= maxLength;
}

/** An amount of money in cents: never a fraction, which would not add up. */
export function isAmount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= 1e9;
}
