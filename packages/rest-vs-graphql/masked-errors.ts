/**
 * What a caller is told of an error. What they did wrong, and what the blog refuses, is theirs to know, with a code that a program
 * can act on. Everything else is ours: a message of PostgreSQL has names of tables in it. It is logged with its cause, and the
 * caller gets the id under which it can be found.
 */
import type { Log } from '@patterns/kit/log';
import { HttpProblem } from '@patterns/kit/problem';
import { type ExecutionResult, GraphQLError } from 'graphql';
import { BlogError } from './blog-error.ts';

// #region mask
/** The result as it may go out. */
export function maskErrors(result: ExecutionResult, { log, traceId }: { log: Log; traceId: string }): ExecutionResult {
  if (!result.errors) return result;
  const unexpected = new Set<Error>(); // a statement that failed for a hundred fields is one error
  const errors = result.errors.map((error) => {
    const told = whatIsTold(error);
    if (told) return told;
    unexpected.add(error.originalError!);
    return as(error, 'internal error', { code: 'INTERNAL', traceId });
  });
  for (const error of unexpected) log.error('unexpected', { error, traceId });
  return { ...result, errors };
}

/** Undefined when nothing may be told. */
function whatIsTold(error: GraphQLError): GraphQLError | undefined {
  const cause = error.originalError;
  // GraphQL's own, about the request: syntax, validation, a variable of the wrong type, a limit.
  if (cause === undefined || cause instanceof GraphQLError) return error;
  if (cause instanceof BlogError) {
    const code = cause.code.toUpperCase().replaceAll('-', '_');
    return as(error, cause.message, cause.errors.length > 0 ? { code, fields: cause.errors } : { code });
  }
  if (cause.name === 'TimeoutError') return as(error, 'the time for this operation was up', { code: 'TIMEOUT' });
  return cause instanceof HttpProblem ? error : undefined; // 499: nobody is there to be told
}
// #endregion

/** Another message at the same place; nothing of the cause goes with it. */
function as({ nodes, path }: GraphQLError, message: string, extensions: Record<string, unknown>): GraphQLError {
  return new GraphQLError(message, { nodes, path, extensions });
}
