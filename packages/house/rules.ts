/**
 * Rules for the files of all packages: who may import whom, how long a file may be, that every test runs.
 */
import type { Package, Repository } from './repository.ts';
import { SIDES } from './rooms.ts';

/** "About 150 lines": more are two ideas in one file. */
const MAX_LINES = 160;

/** Whom each package that is no pattern may import; bench and house are not in it: they may import everything. */
const FOUNDATIONS: Readonly<Record<string, readonly string[]>> = {
  kit: [],
  services: ['kit'],
  feed: ['kit', 'services'],
};

/** The one pattern that is made of others. */
const COMPOSITION = 'microservices';

/** Arrows run one way: a pattern imports kit, services and feed, and no other pattern; kit imports nothing of ours. */
export function importGaps({ packages }: Repository): string[] {
  return packages.flatMap(({ name, isPattern, files, read }) => {
    const allowed = FOUNDATIONS[name] ?? (isPattern && name !== COMPOSITION ? Object.keys(FOUNDATIONS) : undefined);
    return files.filter(isTypeScript).flatMap((file) => {
      const path = `packages/${name}/${file}`;
      const imported = [...read(file).matchAll(IMPORT)].map(([, specifier = '']) => specifier);
      const against = imported.filter((specifier) => {
        const other = /^@patterns\/([\w-]+)/.exec(specifier)?.[1];
        return other !== undefined && other !== name && allowed !== undefined && !allowed.includes(other);
      });
      const gaps = against.map((specifier) => `${path} imports ${specifier}`);
      const depth = file.split('/').length;
      const leaves = imported.filter((specifier) => specifier.startsWith('../'.repeat(depth)));
      gaps.push(...leaves.map((specifier) => `${path} imports ${specifier}: another package is imported by its name`));
      const others = SIDES.flatMap(([one, other]) => (file === one ? [other] : file === other ? [one] : []));
      for (const side of others) if (imported.includes(`./${side}`)) gaps.push(`${path} imports ./${side}`);
      return gaps;
    });
  });
}

/** What the services of the composition share: what they say to each other, and what each of them stands on. */
const SHARED = /^\.\.\/(?:contracts\/|chassis\/|protocol\.ts$)/;

/**
 * A service is a folder with a server.ts, and another process, perhaps another team's: its code is nobody else's to import. Services
 * share contracts; what they compose, they import from the packages.
 */
export function serviceGaps({ packages }: Repository): string[] {
  const { files = [], read } = packages.find(({ name }) => name === COMPOSITION) ?? {};
  const services = new Set(files.filter((file) => /^\w[\w-]*\/server\.ts$/.test(file)).map(folderOf));
  return files
    .filter((file) => isTypeScript(file) && !isTest(file))
    .flatMap((file) => {
      const imported = [...read!(file).matchAll(IMPORT)].map(([, specifier = '']) => specifier);
      const isService = services.has(folderOf(file));
      const against = imported.filter((specifier) => {
        const into = /^(?:\.\.?|@patterns\/microservices)\/([\w-]+)\//.exec(specifier)?.[1] ?? '';
        const isOwn = specifier.startsWith('./') && isService;
        return !isOwn && (services.has(into) || (isService && specifier.startsWith('..') && !SHARED.test(specifier)));
      });
      return against.map(
        (specifier) => `packages/${COMPOSITION}/${file} imports ${specifier}: services share contracts`,
      );
    });
}

const folderOf = (file: string) => file.split('/', 1)[0]!;

const IMPORT = /(?:^import |\bfrom |\bimport\()'([^'\n]+)'/gm;

/** No file of a pattern is longer than a reader takes in at once; its tests may be. */
export function sizeGaps({ packages }: Repository): string[] {
  return packages
    .filter(({ isPattern }) => isPattern)
    .flatMap(({ name, files, read }) =>
      files
        .filter((file) => /\.(?:ts|html)$/.test(file) && !isTest(file))
        .map((file) => ({ file, lines: read(file).trimEnd().split('\n').length }))
        .filter(({ lines }) => lines > MAX_LINES)
        .map(({ file, lines }) => `packages/${name}/${file} has ${lines} lines: more than ${MAX_LINES} are two ideas`),
    );
}

const LEFT_OUT = /\b(?:test|it|describe|suite)(?:\.\w+)*\.(?:only|skip|todo)\b|\bskip\(/;

/** Every test stands where Vitest looks for it, and none is switched off, or switches others off. */
export function testGaps({ packages }: Repository): string[] {
  return packages.flatMap((each) => [...strayTests(each), ...switchedOff(each)]);
}

function strayTests({ name, files }: Package): string[] {
  return files
    .filter((file) => file.endsWith('.test.ts') && !isTest(file))
    .map((file) => `packages/${name}/${file} is never run: tests stand in packages/${name}/test`);
}

function switchedOff({ name, files, read }: Package): string[] {
  return files.filter(isTest).flatMap((file) =>
    read(file)
      .split('\n')
      .flatMap((line, index) => {
        const [mark] = LEFT_OUT.exec(line) ?? [];
        return mark ? [`packages/${name}/${file}:${index + 1}: ${mark} leaves tests out`] : [];
      }),
  );
}

/** The lockfile names no server: it holds for every registry. */
export function lockfileGaps({ text }: Repository): string[] {
  const lockfile = text('pnpm-lock.yaml');
  if (lockfile === undefined) return ['pnpm-lock.yaml is missing'];
  return lockfile
    .split('\n')
    .flatMap((line, index) =>
      /\btarball:|https?:\/\//.test(line) ? [`pnpm-lock.yaml:${index + 1}: it names a server: ${line.trim()}`] : [],
    );
}

const isTest = (file: string) => file.startsWith('test/');
const isTypeScript = (file: string) => file.endsWith('.ts');
