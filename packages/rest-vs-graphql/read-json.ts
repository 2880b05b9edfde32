/** Reads JSON that another program has sent: it is what was agreed on, or a `protocol` error that says where it is not. */
import { CallError } from './call-error.ts';

export type Json = Readonly<Record<string, unknown>>;

/** Reads the object at `name` of an object. @throws {CallError} `protocol`. */
export function objectAt(of: Json, name: string): Json {
  return asObject(of[name], name);
}

export function asObject(value: unknown, name: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw unexpected(name, 'an object');
  return value as Json;
}

/** Reads a list of objects. @throws {CallError} `protocol`. */
export function asList(value: unknown, name: string): readonly Json[] {
  if (!Array.isArray(value)) throw unexpected(name, 'a list');
  return value.map((item) => asObject(item, name));
}

/** Reads the list of a GraphQL connection: `{ nodes: [...] }`. @throws {CallError} `protocol`. */
export function nodesAt(of: Json, name: string): readonly Json[] {
  return asList(objectAt(of, name).nodes, `${name}.nodes`);
}

/** @throws {CallError} `protocol`. */
export function textAt(of: Json, name: string): string {
  const value = of[name];
  if (typeof value !== 'string') throw unexpected(name, 'a string');
  return value;
}

/** @throws {CallError} `protocol`. */
export function numberAt(of: Json, name: string): number {
  const value = of[name];
  if (typeof value !== 'number') throw unexpected(name, 'a number');
  return value;
}

function unexpected(name: string, expected: string): CallError {
  return new CallError('protocol', `${name} is not ${expected}`);
}
