/**
 * Cuts a marked region out of a source file, for a chapter to show: from `// #region name` to its `// #endregion`, in HTML and
 * YAML comments too. Regions may nest; a region that is not there is an error, never the whole file.
 */

interface Region {
  name: string;
  start: number;
  end: number;
}

const MARK = /^\s*(?:\/\/|#|<!--)\s*#(region|endregion)\b\s*([\w-]*)\s*(?:-->)?\s*$/;

/**
 * The lines of that region, without the marks of regions within it, moved to the left margin.
 *
 * @throws {Error} when the region is missing, marked twice or left open; the message names it and the line of the mark.
 */
export function cutRegion(source: string, name: string): string {
  const lines = source.split('\n');
  const regions = readRegions(lines);
  const [region, second] = regions.filter((each) => each.name === name);
  if (!region) {
    const names = regions.map((each) => each.name).join(', ');
    throw new Error(`there is no region "${name}": ${names ? `there are ${names}` : 'none is marked in it'}`);
  }
  if (second) throw new Error(`the region "${name}" is marked twice, in lines ${region.start} and ${second.start}`);
  return dedent(lines.slice(region.start, region.end - 1).filter((line) => !MARK.test(line)));
}

/** Line numbers, from 1, of the marks themselves. */
function readRegions(lines: readonly string[]): Region[] {
  const regions: Region[] = [];
  const open: Region[] = [];
  for (const [index, line] of lines.entries()) {
    const [, mark, name = ''] = MARK.exec(line) ?? [];
    if (mark === 'region') {
      const region = { name, start: index + 1, end: 0 };
      regions.push(region);
      open.push(region);
    } else if (mark === 'endregion') {
      const region = open.pop();
      if (!region) throw new Error(`#endregion in line ${index + 1} closes nothing`);
      region.end = index + 1;
    }
  }
  const [left] = open;
  if (left) throw new Error(`the region "${left.name}" of line ${left.start} has no #endregion`);
  return regions;
}

/** Drops empty lines around the text, and the indentation that all its lines share. */
function dedent(lines: readonly string[]): string {
  const margin = Math.min(...lines.filter((line) => line.trim()).map((line) => line.search(/\S/)));
  return lines
    .map((line) => line.slice(margin).trimEnd())
    .join('\n')
    .replace(/^\n+|\n+$/g, '');
}
