/**
 * How deep a document is and how wide, by reading it once. A fragment counts wherever it is spread, and is measured only once:
 * forty fragments that each spread the next one twice are a line to write, and a million million fields.
 */
import { type DocumentNode, type FragmentDefinitionNode, Kind, type SelectionSetNode } from 'graphql';

export interface Shape {
  depth: number;
  fields: number;
  aliases: number;
  directives: number;
}

const nothing = (): Shape => ({ depth: 0, fields: 0, aliases: 0, directives: 0 });

/** The shape of all that a document holds. A fragment that spreads itself is endlessly deep. */
export function shapeOf(document: DocumentNode): Shape {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const each of document.definitions) {
    if (each.kind === Kind.FRAGMENT_DEFINITION) fragments.set(each.name.value, each);
  }
  const measured = new Map<string, Shape>();
  const whole = nothing();
  for (const each of document.definitions) {
    if (each.kind !== Kind.OPERATION_DEFINITION) continue;
    add(whole, shapeOfSelections(each.selectionSet));
    whole.directives += each.directives?.length ?? 0;
    for (const variable of each.variableDefinitions ?? []) whole.directives += variable.directives?.length ?? 0;
  }
  // Those that nobody spreads are work for the validation, too, before it refuses them.
  for (const name of fragments.keys()) if (!measured.has(name)) add(whole, shapeOfFragment(name));
  return whole;

  // #region shape
  function shapeOfSelections({ selections }: SelectionSetNode): Shape {
    const shape = nothing();
    for (const selection of selections) {
      shape.directives += selection.directives?.length ?? 0;
      if (selection.kind === Kind.FRAGMENT_SPREAD) add(shape, shapeOfFragment(selection.name.value));
      else if (selection.kind === Kind.INLINE_FRAGMENT) add(shape, shapeOfSelections(selection.selectionSet));
      else {
        // Introspection goes deep by nature (`ofType`); it is switched off as a whole, or not (operation.ts).
        const isMeta = selection.name.value.startsWith('__');
        const below = selection.selectionSet && !isMeta ? shapeOfSelections(selection.selectionSet) : nothing();
        add(shape, { ...below, depth: below.depth + 1, fields: below.fields + 1 });
        if (selection.alias) shape.aliases += 1;
      }
    }
    return shape;
  }
  // #endregion

  function shapeOfFragment(name: string): Shape {
    const known = measured.get(name);
    if (known) return known;
    measured.set(name, { ...nothing(), depth: Number.POSITIVE_INFINITY }); // what is found if it is met again within itself
    const fragment = fragments.get(name); // one that is not there is for the validation to name
    const shape = fragment ? shapeOfSelections(fragment.selectionSet) : nothing();
    shape.directives += fragment?.directives?.length ?? 0;
    measured.set(name, shape);
    return shape;
  }
}

function add(sum: Shape, { depth, fields, aliases, directives }: Shape): void {
  sum.depth = Math.max(sum.depth, depth);
  sum.fields += fields;
  sum.aliases += aliases;
  sum.directives += directives;
}
