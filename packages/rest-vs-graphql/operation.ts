/**
 * From a request's parameters to an operation that may be executed, or to what is wrong with it. In this order, the cheap before
 * the dear: size, syntax, shape, the schema's rules, variables, cost. Nothing here asks the database.
 */
import { createHash } from 'node:crypto';
import {
  type DocumentNode,
  type ExecutionArgs,
  GraphQLError,
  type GraphQLSchema,
  NoSchemaIntrospectionCustomRule,
  OperationTypeNode,
  specifiedRules,
  validate,
  validateExecutionArgs,
} from 'graphql';
import type { RequestParams } from 'graphql-http';
import { costOf } from './cost.ts';
import { type Limits, parseWithin, refusal } from './limits.ts';
import type { OperationContext } from './resolvers.ts';

export interface Operation {
  readonly args: ExecutionArgs & { contextValue?: OperationContext };
  readonly type: OperationTypeNode;
  readonly name: string | undefined;
  readonly cost: number;
}

/** Prepares an operation and charges its client for it, or says what is wrong. @throws {HttpProblem} 429. */
export type Admit = (
  params: RequestParams,
  context: OperationContext,
  wantsEvents: boolean,
) => Operation | readonly GraphQLError[];

/** How a document is named in logs and counts: one that is long, or secret, is told by its hash. */
export const hashOf = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`;

export interface PreparationOptions {
  schema: GraphQLSchema;
  limits: Limits;
  /** Whether the schema may be asked for, and be guessed at by misspelling ("Did you mean ...?"). For development. */
  introspection: boolean;
  /** Texts that are trusted: they are read and validated here and now, once for all requests. */
  trusted: Iterable<string>;
}

/**
 * Makes the function that prepares operations.
 * @throws {Error} when a trusted document is not valid: better now than at the first client.
 */
export function createPreparation({ schema, limits, introspection, trusted }: PreparationOptions) {
  const rules = introspection ? specifiedRules : [...specifiedRules, NoSchemaIntrospectionCustomRule];
  // 5 errors: enough to mend a query by, and no work for whoever sends a thousand mistakes.
  const options = { maxErrors: 5, hideSuggestions: !introspection };

  // #region prepare
  function read(text: string): DocumentNode | readonly GraphQLError[] {
    try {
      const document = parseWithin(text, limits);
      const errors = validate(schema, document, rules, options);
      return errors.length > 0 ? errors : document;
    } catch (error) {
      if (error instanceof GraphQLError) return [error];
      throw error;
    }
  }

  const known = new Map<string, DocumentNode>();
  for (const text of trusted) {
    const document = read(text);
    if (!('kind' in document)) throw new Error(`a trusted document is not valid: ${document[0]?.message}\n${text}`);
    known.set(text, document);
  }

  return (
    params: RequestParams,
    contextValue: OperationContext,
    asEvents: boolean,
  ): Operation | readonly GraphQLError[] => {
    const document = known.get(params.query) ?? read(params.query);
    if (!('kind' in document)) return document;
    const args = {
      schema,
      document,
      contextValue,
      operationName: params.operationName || null, // an empty name is none
      variableValues: params.variables ?? null,
      hideSuggestions: !introspection,
    };
    const validated = validateExecutionArgs(args);
    if (!('operation' in validated)) return validated;
    const { operation } = validated;
    const isSubscription = operation.operation === OperationTypeNode.SUBSCRIPTION;
    if (isSubscription && !asEvents) return [refusal('NOT_STREAMED', 'a subscription needs Accept: text/event-stream')];
    if (asEvents && !isSubscription)
      return [refusal('NOT_A_SUBSCRIPTION', 'only a subscription is answered by events')];
    try {
      return { args, type: operation.operation, name: operation.name?.value, cost: costOf(validated, limits) };
    } catch (error) {
      if (error instanceof GraphQLError) return [error];
      throw error;
    }
  };
  // #endregion
}
