/** A small complete repository, and each thing that can be left out of it or go against its rules. */
import { mkdir, mkdtempDisposable, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { findGaps } from '../gaps.ts';

const manifest = (name: string, more = {}) =>
  JSON.stringify({
    name: `@patterns/${name}`,
    description: `What ${name} is.`,
    scripts: { test: `vitest run --root ../.. --project ${name}` },
    ...more,
  });

const CHAPTER = `# A
**What sse is.**
    pnpm dev:sse
\`\`\`mermaid
\`\`\`
<!-- code: server.ts#a -->
<!-- transcript -->
<!-- bench -->
`;

const COMPLETE: Record<string, string> = {
  'package.json': JSON.stringify({ scripts: { 'dev:sse': 'node scripts/start.mjs dev sse' } }),
  'README.md': '| packages/sse/README.md | What sse is. | `pnpm dev:sse` |\n',
  'pnpm-lock.yaml': 'resolution: {integrity: sha512-a}\n',
  'packages/kit/package.json': manifest('kit'),
  'packages/kit/listen.ts': "import { createServer } from 'node:http';\n",
  'packages/polling/package.json': manifest('polling'),
  'packages/bench/package.json': manifest('bench'),
  'packages/bench/sse.ts': "import { startServer } from '@patterns/sse/server';\n",
  'packages/bench/results/sse.json': '{}',
  'packages/sse/package.json': manifest('sse', { pattern: { needs: [] } }),
  'packages/sse/README.md': CHAPTER,
  'packages/sse/protocol.ts': '',
  'packages/sse/server.ts': "import {\n  listen,\n} from '@patterns/kit/listen';\nimport './protocol.ts';\n",
  'packages/sse/client.ts': "import './protocol.ts';\n",
  'packages/sse/naive.ts': '',
  'packages/sse/demo.ts': '',
  'packages/sse/test/demo.test.ts': "import '../demo.ts';\ntest('it runs', () => {});\n",
};

async function repository() {
  const folder = await mkdtempDisposable(join(tmpdir(), 'house-'));
  const at = (path: string) => join(folder.path, path);
  const write = async (path: string, text: string) => {
    await mkdir(dirname(at(path)), { recursive: true });
    await writeFile(at(path), text);
  };
  for (const [path, text] of Object.entries(COMPLETE)) await write(path, text);
  return {
    write,
    append: async (path: string, text: string) => write(path, (await readFile(at(path), 'utf8')) + text),
    replace: (path: string, from: string, to: string) => write(path, COMPLETE[path]!.replace(from, to)),
    remove: (path: string) => rm(at(path)),
    gaps: () => findGaps(folder.path),
    [Symbol.asyncDispose]: () => folder.remove(),
  };
}

test('nothing is left out', async () => {
  await using repo = await repository();
  expect(repo.gaps()).toEqual([]);
});

test.each(['protocol.ts', 'server.ts', 'client.ts', 'naive.ts', 'demo.ts', 'README.md', 'test/demo.test.ts'])(
  'a pattern without its %s',
  async (room) => {
    await using repo = await repository();
    await repo.remove(`packages/sse/${room}`);
    expect(repo.gaps()).toEqual([`packages/sse/${room} is missing`]);
  },
);

test('the two sides may be a provider and its consumer', async () => {
  await using repo = await repository();
  await repo.remove('packages/sse/server.ts');
  await repo.remove('packages/sse/client.ts');
  await repo.write('packages/sse/provider.ts', '// #region a');
  expect(repo.gaps()).toEqual(['packages/sse/consumer.ts is missing']);
  await repo.write('packages/sse/consumer.ts', "import './provider.ts';\n");
  expect(repo.gaps()).toEqual(['packages/sse/consumer.ts imports ./provider.ts']);
});

test('a service of the composition that imports the code of another one', async () => {
  await using repo = await repository();
  const food = (path: string, text: string) => repo.write(`packages/microservices/${path}`, text);
  await food('package.json', manifest('microservices'));
  await food('order/server.ts', "import '../contracts/payment.ts';\nimport '../protocol.ts';\nimport './saga.ts';\n");
  await food('order/saga.ts', "import '../chassis/dependency.ts';\nimport '@patterns/polling/server';\n");
  await food('payment/server.ts', '');
  await food('test/saga.test.ts', "import '../order/server.ts';\ntest('it runs', () => {});\n");
  expect(repo.gaps()).toEqual([]);
  for (const [file, specifier] of [
    ['order/saga.ts', '../payment/charges.ts'],
    ['order/saga.ts', '../audit.ts'],
    ['order/saga.ts', '@patterns/microservices/payment/charges'],
    ['chassis/outbox.ts', '../order/saga.ts'],
    ['client.ts', './order/saga.ts'],
  ] as const) {
    await food(file, `import '${specifier}';\n`);
    const gap = `packages/microservices/${file} imports ${specifier}: services share contracts`;
    expect(repo.gaps()).toEqual([gap]);
    await food(file, '');
  }
});

test('a pattern without a benchmark, or without results', async () => {
  await using repo = await repository();
  await repo.remove('packages/bench/results/sse.json');
  expect(repo.gaps()).toEqual(['packages/bench/results/sse.json is missing: run `pnpm bench sse`']);
  await repo.remove('packages/bench/sse.ts');
  expect(repo.gaps()).toEqual(['packages/bench/sse.ts is missing']);
});

const only = 'only';
const skip = 'skip';
const todo = 'todo';

test.each([
  ['packages/sse/package.json', '@patterns/sse', '@patterns/see', ': its name is not @patterns/sse'],
  ['packages/sse/package.json', '--project sse', '--project see', ': its script test does not run the project sse'],
  ['packages/kit/package.json', 'What kit is.', '', ': it has no description'],
  ['package.json', 'dev sse', 'dev see', ': the script dev:sse is missing, or runs something else'],
  ['README.md', 'dev:sse', 'dev:see', ': no row of the table has sse with'],
  ['README.md', 'What sse is.', 'What see is.', ': no row of the table has sse with'],
  ['packages/sse/README.md', 'What sse is.', 'What see is.', ' lacks its question, "What sse is."'],
  ['packages/sse/README.md', 'dev:sse', 'dev:see', ' lacks the command pnpm dev:sse'],
  ['packages/sse/README.md', 'mermaid', 'text', ' lacks a sequence diagram'],
  ['packages/sse/README.md', 'transcript', 'script', ' lacks a transcript of its demo'],
  ['packages/sse/README.md', 'bench', 'table', ' lacks the measurements'],
  ['packages/sse/client.ts', './protocol', './server', ' imports ./server.ts'],
  ['packages/sse/server.ts', './protocol', './client', ' imports ./client.ts'],
  ['packages/sse/server.ts', '@patterns/kit/listen', '@patterns/polling/server', ' imports @patterns/polling/server'],
  [
    'packages/sse/server.ts',
    './protocol.ts',
    '../polling/a.ts',
    ' imports ../polling/a.ts: another package is imported',
  ],
  ['packages/kit/listen.ts', 'node:http', '@patterns/sse/server', ' imports @patterns/sse/server'],
  ['packages/sse/test/demo.test.ts', 'test(', `test.${only}(`, `:2: test.${only} leaves tests out`],
  [
    'packages/sse/test/demo.test.ts',
    'test(',
    `test.concurrent.${skip}(`,
    `:2: test.concurrent.${skip} leaves tests out`,
  ],
  ['packages/sse/test/demo.test.ts', 'test(', `describe.${todo}(`, `:2: describe.${todo} leaves tests out`],
  ['packages/sse/test/demo.test.ts', '{}', `c.${skip}()`, `:2: ${skip}( leaves tests out`],
  ['pnpm-lock.yaml', 'integrity: sha512-a', 'tarball: a.tgz', ':1: it names a server: resolution: {tarball: a.tgz}'],
  ['pnpm-lock.yaml', 'sha512-a', 'https://a.test', ':1: it names a server'],
])('%s: %s -> %s', async (path, from, to, gap) => {
  await using repo = await repository();
  await repo.replace(path, from, to);
  expect(repo.gaps()).toEqual([expect.stringContaining(`${path}${gap}`)]);
});

test('a file that is too long, unless it is a test', async () => {
  await using repo = await repository();
  await repo.append('packages/sse/test/demo.test.ts', 'a();\n'.repeat(200));
  await repo.write('packages/sse/demo.ts', 'a();\n'.repeat(160));
  expect(repo.gaps()).toEqual([]);
  await repo.append('packages/sse/demo.ts', 'a();\n');
  expect(repo.gaps()).toEqual(['packages/sse/demo.ts has 161 lines: more than 160 are two ideas']);
});

test('a test where Vitest does not look, a script of no pattern', async () => {
  await using repo = await repository();
  await repo.write('packages/kit/listen.test.ts', '');
  await repo.replace('package.json', '"dev:sse"', '"dev:see":"","dev:sse"');
  expect(repo.gaps()).toEqual([
    'package.json: the script dev:see belongs to no pattern',
    'packages/kit/listen.test.ts is never run: tests stand in packages/kit/test',
  ]);
});

test('a pattern may import what it stands on, and only the composition another pattern', async () => {
  await using repo = await repository();
  await repo.append('packages/sse/naive.ts', "import '@patterns/feed/feed';\nimport '@patterns/services/redis';\n");
  await repo.write('packages/microservices/package.json', manifest('microservices', { pattern: {} }));
  await repo.write('packages/microservices/gateway.ts', "import '@patterns/sse/server';\n");
  expect(repo.gaps().filter((gap) => gap.includes('imports'))).toEqual([]);
});
