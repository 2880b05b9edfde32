/**
 * A pattern has the same rooms and one name everywhere: its folder, its package, `pnpm dev:<name>`, its tests, its chapter,
 * its benchmark, its row in the README.
 */
import type { Manifest, Package, Repository } from './repository.ts';

const ROOMS = ['README.md', 'protocol.ts', 'naive.ts', 'demo.ts', 'test/demo.test.ts'];

/** The two sides of the wire, by the names that the field has for them. */
export const SIDES = [
  ['server.ts', 'client.ts'],
  ['provider.ts', 'consumer.ts'],
  ['sidecar.ts', 'app.ts'],
] as const;

/** What every chapter shows, and how that is recognized. */
const SECTIONS = [
  { what: 'a sequence diagram', mark: '```mermaid' },
  { what: 'code of its own files', mark: '<!-- code: ' },
  { what: 'a transcript of its demo', mark: '<!-- transcript' },
  { what: 'the measurements', mark: '<!-- bench' },
];

/** What is missing of each pattern, and what the root has that belongs to none. */
export function patternGaps({ packages, text }: Repository): string[] {
  const root = JSON.parse(text('package.json') ?? '{}') as Manifest;
  const readme = text('README.md') ?? '';
  const patterns = packages.filter(({ isPattern }) => isPattern);
  const names = patterns.map(({ name }) => name);

  const strays = Object.keys(root.scripts ?? {})
    .filter((script) => script.startsWith('dev:') && !names.includes(script.slice('dev:'.length)))
    .map((script) => `package.json: the script ${script} belongs to no pattern`);
  return [
    ...packages.flatMap(nameGaps),
    ...patterns.flatMap((pattern) => [
      ...roomGaps(pattern),
      ...chapterGaps(pattern),
      ...rootGaps(pattern, root, readme),
      ...benchGaps(pattern, text),
    ]),
    ...strays,
  ];
}

function nameGaps({ name, manifest }: Package): string[] {
  const path = `packages/${name}/package.json`;
  const gaps: string[] = [];
  if (manifest.name !== `@patterns/${name}`) gaps.push(`${path}: its name is not @patterns/${name}`);
  if (!manifest.description) gaps.push(`${path}: it has no description`);
  if (manifest.scripts?.test !== `vitest run --root ../.. --project ${name}`) {
    gaps.push(`${path}: its script test does not run the project ${name}`);
  }
  return gaps;
}

function roomGaps({ name, files }: Package): string[] {
  const sides = SIDES.find((each) => each.some((side) => files.includes(side))) ?? SIDES[0];
  return [...ROOMS, ...sides]
    .filter((room) => !files.includes(room))
    .map((room) => `packages/${name}/${room} is missing`);
}

function chapterGaps({ name, manifest, files, read }: Package): string[] {
  if (!files.includes('README.md')) return [];
  const chapter = read('README.md');
  const sections = [
    { what: `its question, "${manifest.description}"`, mark: manifest.description ?? '' },
    { what: `the command pnpm dev:${name}`, mark: `pnpm dev:${name}` },
    ...SECTIONS,
  ];
  return sections
    .filter(({ mark }) => !chapter.includes(mark))
    .map(({ what }) => `packages/${name}/README.md lacks ${what}`);
}

function rootGaps({ name, manifest }: Package, root: Manifest, readme: string): string[] {
  const gaps: string[] = [];
  if (root.scripts?.[`dev:${name}`] !== `node scripts/start.mjs dev ${name}`) {
    gaps.push(`package.json: the script dev:${name} is missing, or runs something else`);
  }
  const parts = [`packages/${name}/README.md`, `pnpm dev:${name}`, manifest.description ?? ''];
  const isRow = (line: string) => line.startsWith('|') && parts.every((part) => line.includes(part));
  if (!readme.split('\n').some(isRow)) {
    gaps.push(`README.md: no row of the table has ${name} with its question, its command and a link to its chapter`);
  }
  return gaps;
}

function benchGaps({ name }: Package, text: Repository['text']): string[] {
  const bench = `packages/bench/${name}.ts`;
  const results = `packages/bench/results/${name}.json`;
  if (text(bench) === undefined) return [`${bench} is missing`];
  return text(results) === undefined ? [`${results} is missing: run \`pnpm bench ${name}\``] : [];
}
