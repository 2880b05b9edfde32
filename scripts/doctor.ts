/**
 * `pnpm run doctor` (without `run`, pnpm has a doctor of its own): what is there, and the exact command for what is not.
 * Changes nothing. Exit code 0 if the demos can run; the extras are for some tests only, so they may be missing.
 */
import { compose } from '@patterns/services/compose';
import { type ExtraName, extras, findExtra, installCommand } from '@patterns/services/extras';
import { locatePostgres } from '@patterns/services/postgres';
import { findProgram, output } from '@patterns/services/program';
import { locateRedis } from '@patterns/services/redis';
import { redacted } from '@patterns/services/service';
import { embeddedPostgres } from '@patterns/services/start-postgres';

/** What a check found: good, or a remedy that is needed for the demos (`bad`), or one for more than them (`open`). */
type Finding = { state: 'good' | 'bad' | 'open'; text: string };

const good = (text: string): Finding => ({ state: 'good', text });
const bad = (text: string): Finding => ({ state: 'bad', text });
const open = (text: string): Finding => ({ state: 'open', text });
const wrong = (error: unknown): Finding => bad(error instanceof Error ? error.message : String(error));

async function node(): Promise<Finding> {
  return good(process.version); // an old one has not come this far: scripts/start.mjs
}

async function pnpm(): Promise<Finding> {
  // pnpm tells the scripts that it runs who it is; it need not be on PATH: npx brings it as well.
  const [, running] = /^pnpm\/(\S+)/.exec(process.env.npm_config_user_agent ?? '') ?? [];
  const version = running ?? (await output('pnpm', ['--version']).catch(() => undefined));
  return version
    ? good(version)
    : open('not on PATH: npm install -g pnpm@12, or put npx --yes pnpm@12 before a script');
}

async function docker(): Promise<Finding> {
  if (findProgram(['docker']) === undefined) return open('none: not needed');
  const engine = await output('docker', ['version', '--format', '{{.Server.Version}}']).catch(() => undefined);
  if (engine === undefined) return open('the engine does not answer: not needed');
  const plugin = await output('docker', ['compose', 'version', '--short']).catch(() => undefined);
  return plugin ? good(`engine ${engine}, compose ${plugin}`) : open(`engine ${engine}, without compose: not needed`);
}

async function redis(): Promise<Finding> {
  const source = await locateRedis();
  if (source.from === 'program') return good(`will be started: ${source.program}`);
  if (source.from === 'apt') return good('will be installed by apt-get install redis-server, and started');
  return good(`${source.from}: ${redacted(source.url)}, Redis ${source.version}`);
}

async function postgres(): Promise<Finding> {
  const source = await locatePostgres();
  if (source.from !== 'npm') return good(`${source.from}: ${redacted(source.url)}, PostgreSQL ${source.version}`);
  const { postgres } = await embeddedPostgres();
  return good(`will be started: ${await output(postgres, ['--version'])}`);
}

async function composePorts(): Promise<Finding> {
  const env = {};
  const sources = await Promise.all([locateRedis({ env }).catch(() => undefined), locatePostgres({ env })]);
  const ports = [compose.redis.port, compose.postgres.port];
  const answers = ports.map(
    (port, index) => `${port} ${sources[index]?.from === 'compose' ? 'answers' : 'does not answer'}`,
  );
  return sources.every((source) => source?.from === 'compose')
    ? good(answers.join(', '))
    : open(`${answers.join(', ')}: docker compose up -d --wait, or do without`);
}

async function extra(name: ExtraName): Promise<Finding> {
  const program = findExtra(name);
  if (program !== undefined) return good(program);
  return open(`for ${extras[name].needed}: pnpm extras, or ${installCommand([extras[name]]) ?? 'install it'}`);
}

const marks = { good: '✓', bad: '✗', open: '-' };
const others = (Object.keys(extras) as ExtraName[]).filter((name) => name !== 'redis');
const checks: [string, () => Promise<Finding>][] = [
  ['Node', node],
  ['pnpm', pnpm],
  ['Redis', redis],
  ['PostgreSQL', postgres],
  ['Docker', docker],
  ['compose', composePorts],
  ...others.map((name): [string, () => Promise<Finding>] => [name, () => extra(name)]),
];
const findings = checks.map(async ([name, check]) => ({ name, ...(await check().catch(wrong)) }));
for (const { name, state, text } of await Promise.all(findings)) {
  console.log(`${marks[state]} ${name.padEnd(11)} ${text}`);
  if (state === 'bad') process.exitCode = 1;
}
console.log(process.exitCode === 1 ? '\nThe demos cannot all run: see ✗ above.' : '\nThe demos can run: pnpm dev');
