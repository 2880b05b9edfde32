/** Regions are cut as a reader wants them, and never guessed. */
import { expect, test } from 'vitest';
import { cutRegion } from '../regions.ts';

const source = `import { a } from 'a';

export function outer() {
  // #region body

  const x = 1;
  // #region inner
  if (x) {
    a(x);
  }
  // #endregion inner

  // #endregion
}
`;

test('a region moves to the left margin, without the empty lines around it and the marks within it', () => {
  expect(cutRegion(source, 'body')).toBe('const x = 1;\nif (x) {\n  a(x);\n}');
});

test('a nested region can be cut by itself', () => {
  expect(cutRegion(source, 'inner')).toBe('if (x) {\n  a(x);\n}');
});

test('marks in HTML and in YAML', () => {
  expect(cutRegion('<p>\n  <!-- #region list -->\n  <ul>\n  <!-- #endregion -->\n', 'list')).toBe('<ul>');
  expect(cutRegion('# #region ports\nports: []\n# #endregion\n', 'ports')).toBe('ports: []');
});

test('a missing region is an error that names those there are', () => {
  expect(() => cutRegion(source, 'inne')).toThrow('there is no region "inne": there are body, inner');
  expect(() => cutRegion('code();\n', 'body')).toThrow('there is no region "body": none is marked in it');
});

test('a region that is marked twice, or never ends, or an end without a start', () => {
  expect(() => cutRegion(`${source}${source}`, 'body')).toThrow('the region "body" is marked twice, in lines 4 and 18');
  expect(() => cutRegion('a();\n// #region left\nb();\n', 'left')).toThrow(
    'the region "left" of line 2 has no #endregion',
  );
  expect(() => cutRegion('a();\n// #endregion\n', 'left')).toThrow('#endregion in line 2 closes nothing');
});

test('prose about a region is no mark', () => {
  expect(cutRegion('// #region a\n// the #region below, see there\n// #endregion\n', 'a')).toBe(
    '// the #region below, see there',
  );
});
