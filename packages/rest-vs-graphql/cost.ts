/**
 * What an operation costs, known before it is executed: the number of objects that it may bring forth.
 *
 *     posts(first: 10) {              1     the page
 *       nodes {                    + 10     posts
 *         author { name }          + 10     their authors
 *         comments(first: 3) {     + 10     a page each
 *           nodes { body }         + 30     comments
 *
 * Depth alone says little: the query above is no deeper than one with `first: 1`. What surprises: it is the sizes of the pages
 * multiplied that make it dear, so a list without a `first` counts as a full page.
 */
import {
  type FieldNode,
  type GraphQLField,
  getArgumentValues,
  getNamedType,
  getNullableType,
  isInterfaceType,
  isLeafType,
  isListType,
  isObjectType,
  Kind,
  type SelectionSetNode,
  type ValidatedExecutionArgs,
} from 'graphql';
import { type Limits, refusal } from './limits.ts';

/** A field of Mutation is a transaction: it weighs as much as a page. */
const WRITE_COST = 10;

// #region cost
/**
 * The cost of an operation that has been validated, with the variables that it will be executed with.
 * @throws {GraphQLError} when it is above the limit, or a `first` is.
 */
export function costOf(
  { schema, operation, fragments, variableValues }: ValidatedExecutionArgs,
  limits: Limits,
): number {
  const root = schema.getRootType(operation.operation);
  const costs = new Map<string, number>();
  const cost = root ? costOfSelections(operation.selectionSet, root, limits.pageSize) : 0;
  if (cost > limits.cost) {
    throw refusal('TOO_COSTLY', `the operation may bring forth ${cost} objects: the limit is ${limits.cost}`);
  }
  return cost;

  function costOfField(node: FieldNode, field: GraphQLField, pageSize: number, isWrite: boolean): number {
    const type = getNamedType(field.type);
    if (isLeafType(type)) return isWrite ? WRITE_COST : 0;
    const { first } = getArgumentValues(field, node, variableValues);
    if (typeof first === 'number' && (first < 1 || first > limits.pageSize)) {
      throw refusal('PAGE_SIZE', `${field.name}(first:) must be from 1 to ${limits.pageSize}`);
    }
    const count = isListType(getNullableType(field.type)) ? pageSize : 1;
    const below = typeof first === 'number' ? first : limits.pageSize;
    const own = isWrite ? WRITE_COST : 1;
    return count * (own + (node.selectionSet ? costOfSelections(node.selectionSet, type, below) : 0));
  }
  // #endregion

  /** The product of the sizes is reached without walking it: a fragment that is spread again is looked up. */
  function costOfFragment(name: string, pageSize: number): number {
    const key = `${name} ${pageSize}`;
    const known = costs.get(key);
    if (known !== undefined) return known;
    const { definition } = fragments[name]!;
    const sum = costOfSelections(
      definition.selectionSet,
      schema.getType(definition.typeCondition.name.value),
      pageSize,
    );
    costs.set(key, sum);
    return sum;
  }

  function costOfSelections({ selections }: SelectionSetNode, type: unknown, pageSize: number): number {
    let sum = 0;
    for (const selection of selections) {
      if (selection.kind === Kind.FIELD) {
        const field = isObjectType(type) || isInterfaceType(type) ? type.getFields()[selection.name.value] : undefined;
        if (field) sum += costOfField(selection, field, pageSize, type === schema.getMutationType());
      } else if (selection.kind === Kind.INLINE_FRAGMENT) {
        const on = selection.typeCondition ? schema.getType(selection.typeCondition.name.value) : type;
        sum += costOfSelections(selection.selectionSet, on, pageSize);
      } else {
        sum += costOfFragment(selection.name.value, pageSize);
      }
    }
    return sum;
  }
}
