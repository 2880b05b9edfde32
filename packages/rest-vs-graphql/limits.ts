/**
 * What a document may be, before anything of it is looked up in the schema: its size and its shape.
 *
 * A query language lets the caller write the program that the server runs. Each limit here refuses a program by reading it,
 * in time that grows with its length and not with what it would cost. What it costs is counted in cost.ts.
 */
import { type DocumentNode, GraphQLError, Kind, parse } from 'graphql';
import { LIMITS as REST_LIMITS } from './protocol.ts';
import { shapeOf } from './shape.ts';

export interface Limits {
  /** UTF-16 code units of a document. */
  readonly length: number;
  readonly tokens: number;
  /** Operations in a document. 1: what will not be executed need not be parsed and validated. */
  readonly operations: number;
  /** Fields within fields. */
  readonly depth: number;
  /** Fields in all. Validation compares each with each that has its name: 500 times `name` cost it 50 ms. */
  readonly fields: number;
  /** Aliases ask for the same field as often as one likes, each time executed anew. */
  readonly aliases: number;
  readonly directives: number;
  /** The greatest `first`, wherever it stands. */
  readonly pageSize: number;
  /** Objects that an operation may bring forth (cost.ts). */
  readonly cost: number;
}

/** Twice to four times what the largest screen of our own client needs: a limit that nobody meets by accident. */
export const LIMITS: Limits = {
  length: 4_000,
  tokens: 500,
  operations: 1,
  depth: 8,
  fields: 100,
  aliases: 10,
  directives: 10,
  pageSize: REST_LIMITS.maxPageSize,
  cost: 1_000,
};

/** An error of the request: the operation is not executed, and the status is 400 (application/graphql-response+json). */
export const refusal = (code: string, message: string): GraphQLError =>
  new GraphQLError(message, { extensions: { code } });

// #region limits
/**
 * Parses a document that is small enough, and of a shape that is allowed.
 * @throws {GraphQLError} a syntax error, or a refusal that names the limit.
 */
export function parseWithin(text: string, limits: Limits): DocumentNode {
  // The parser itself stops at the first token too many: a megabyte of braces is never a tree.
  const document = parse(text, { maxSourceLength: limits.length, maxLexicalTokens: limits.tokens });
  const operations = document.definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION).length;
  const shape = shapeOf(document);
  for (const [limit, value] of Object.entries({ operations, ...shape })) {
    const most = limits[limit as keyof Limits];
    if (value > most) throw refusal('TOO_COMPLEX', `the document exceeds the limit of ${limit}: ${most}`);
  }
  return document;
}
// #endregion
