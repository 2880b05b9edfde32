/**
 * What a document may be, before anything of it is looked up in the schema: its size and its shape.
 *
 * A query language lets the caller write the program that the server runs. Each limit here refuses a program by reading it,
 * in time that grows with its length and not with what it would cost. What it costs is counted in cost.ts.
 */
import {
  type DocumentNode,
  type FragmentDefinitionNode,
  GraphQLError,
  Kind,
  parse,
  type SelectionSetNode,
} from 'graphql';
import { LIMITS as REST_LIMITS } from './protocol.ts';

export interface Limits {
  /** UTF-16 code units of a document. */
  readonly length: number;
  readonly tokens: number;
  /** Operations in a document. 1: what will not be executed need not be parsed and validated. */
  readonly operations: number;
  /** Fields within fields. */
  readonly depth: number;
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
  const { depth, aliases, directives } = shapeOf(document);
  for (const [limit, value] of Object.entries({ operations, depth, aliases, directives })) {
    const most = limits[limit as keyof Limits];
    if (value > most) throw refusal('TOO_COMPLEX', `the document exceeds the limit of ${limit}: ${most}`);
  }
  return document;
}
// #endregion

interface Shape {
  depth: number;
  aliases: number;
  directives: number;
}

/** The shape of a document's operations. A fragment counts wherever it is spread, and is measured once: no bomb of fragments. */
function shapeOf(document: DocumentNode): Shape {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const each of document.definitions) {
    if (each.kind === Kind.FRAGMENT_DEFINITION) fragments.set(each.name.value, each);
  }
  const measured = new Map<string, Shape>();
  const whole: Shape = { depth: 0, aliases: 0, directives: 0 };
  for (const each of document.definitions) {
    if (each.kind !== Kind.OPERATION_DEFINITION) continue;
    add(whole, shapeOfSelections(each.selectionSet));
    whole.directives += each.directives?.length ?? 0;
    for (const variable of each.variableDefinitions ?? []) whole.directives += variable.directives?.length ?? 0;
  }
  return whole;

  function shapeOfSelections({ selections }: SelectionSetNode): Shape {
    const shape: Shape = { depth: 0, aliases: 0, directives: 0 };
    for (const selection of selections) {
      shape.directives += selection.directives?.length ?? 0;
      if (selection.kind === Kind.FRAGMENT_SPREAD) {
        add(shape, shapeOfFragment(selection.name.value));
      } else if (selection.kind === Kind.INLINE_FRAGMENT) {
        add(shape, shapeOfSelections(selection.selectionSet));
      } else {
        if (selection.alias) shape.aliases += 1;
        // Introspection goes deep by nature (`ofType`); it is switched off as a whole, or not (operation.ts).
        const isMeta = selection.name.value.startsWith('__');
        const below = selection.selectionSet && !isMeta ? shapeOfSelections(selection.selectionSet) : undefined;
        add(shape, {
          depth: 1 + (below?.depth ?? 0),
          aliases: below?.aliases ?? 0,
          directives: below?.directives ?? 0,
        });
      }
    }
    return shape;
  }

  function shapeOfFragment(name: string): Shape {
    const known = measured.get(name);
    if (known) return known;
    // Found again while it is being measured, it spreads itself: endlessly deep. An unknown one is the validation's to name.
    measured.set(name, { depth: Number.POSITIVE_INFINITY, aliases: 0, directives: 0 });
    const fragment = fragments.get(name);
    const shape = fragment ? shapeOfSelections(fragment.selectionSet) : { depth: 0, aliases: 0, directives: 0 };
    measured.set(name, shape);
    return shape;
  }
}

function add(sum: Shape, { depth, aliases, directives }: Shape): void {
  sum.depth = Math.max(sum.depth, depth);
  sum.aliases += aliases;
  sum.directives += directives;
}
