/**
 * Three screens of one app in five ways: what a look at each costs the server's process, and how long it takes with nothing but
 * loopback between. What a network makes of the round trips is no measurement but a multiplication.
 */
import { documents, type ScreenName } from '@patterns/rest-vs-graphql/documents';
import { createBlog } from '@patterns/rest-vs-graphql/tables';
import { createDatabase } from '@patterns/services/database';
import { findPostgres } from '@patterns/services/postgres';
import { startChild } from './processes.ts';
import type { ScreensLoad } from './rest-vs-graphql-load.ts';
import type { BlogServer, Contestant } from './rest-vs-graphql-server.ts';
import { type Waves, type WayName, ways } from './rest-vs-graphql-ways.ts';
import { describeMachine, type Results, versionsOf } from './results.ts';
import { type BenchOptions, runRounds } from './rounds.ts';

/** As many as a browser opens to one server over HTTP/1.1. */
const CONNECTIONS = 6;

const SCREENS = Object.keys(documents) as ScreenName[];

const SIZES = {
  full: { rounds: 5, users: 8, durationMs: 1_000, warmUpMs: 300, screens: SCREENS },
  quick: { rounds: 3, users: 8, durationMs: 300, warmUpMs: 100, screens: SCREENS },
  tiny: { rounds: 1, users: 2, durationMs: 20, warmUpMs: 1, screens: ['feed'] as ScreenName[] },
};

const WAYS = Object.keys(ways) as WayName[];

const FIGURES = {
  cpuMicros: 'server CPU per screen, µs',
  rate: 'screens per second',
  p50Ms: 'p50, ms',
  p99Ms: 'p99, ms',
  requests: 'requests',
  waits: 'round trips',
  statements: 'SQL statements',
  bytes: 'bytes to the client',
  serverBusy: 'server busy, %',
  loadBusy: 'load generator busy, %',
} as const;

/** Neither way is the cheaper one everywhere. */
const TARGETS: { screen: ScreenName; one: WayName; other: WayName; atMost: number }[] = [
  { screen: 'badge', one: 'REST', other: 'GraphQL, trusted document', atMost: 1 },
  { screen: 'feed', one: 'GraphQL, trusted document', other: 'REST', atMost: 0.5 },
  { screen: 'feed', one: 'GraphQL, trusted document', other: 'GraphQL, naive', atMost: 0.5 },
  { screen: 'feed', one: 'GraphQL, trusted document', other: 'GraphQL, read and validated each time', atMost: 1 },
];

type Figure = keyof typeof FIGURES;
type Run = `${ScreenName}: ${WayName}`;

/** Reports what each way costs. */
export async function run(options: BenchOptions = {}): Promise<Results> {
  const { size = 'full', say, signal } = options;
  const { rounds: count, users, durationMs, warmUpMs, screens } = SIZES[size];
  await using stack = new AsyncDisposableStack();
  const postgres = stack.use(await findPostgres({ ...(say && { progress: say }), ...(signal && { signal }) }));
  const database = stack.use(await createDatabase(postgres.url, 'bench'));
  await createBlog(database.url);

  const start = async (name: Contestant) => {
    const file = new URL('rest-vs-graphql-server.ts', import.meta.url);
    const server = stack.use(startChild<BlogServer>(file, { args: [name], env: { DATABASE_URL: database.url } }));
    return [name, { server, url: await server.ask('url', undefined) }] as const;
  };
  const names = new Set(WAYS.map((way) => ways[way].server));
  const servers = new Map(await Promise.all([...names].map(start))); // those that are not asked do nothing
  const load = stack.use(startChild<ScreensLoad>(new URL('rest-vs-graphql-load.ts', import.meta.url)));

  const runs = new Map<Run, { way: WayName; waves: Waves }>();
  for (const screen of screens) {
    for (const way of WAYS) {
      const waves = await ways[way].record(servers.get(ways[way].server)!.url, screen);
      runs.set(`${screen}: ${way}`, { way, waves });
    }
  }

  const rounds = await runRounds<Run, Figure>(count, [...runs.keys()], measure, options);
  return {
    bench: 'rest-vs-graphql',
    at: new Date().toISOString(),
    shortened: size !== 'full',
    machine: describeMachine(),
    versions: versionsOf('express'),
    rounds: count,
    noise: rounds.noise,
    tables: screens.map((screen) => ({
      title: `${screen}: ${users} users, ${CONNECTIONS} connections each, over loopback`,
      columns: Object.values(FIGURES),
      rows: WAYS.map((way) => ({
        name: way,
        cells: (Object.keys(FIGURES) as Figure[]).map((figure) => rounds.of(`${screen}: ${way}`, figure)),
      })),
      note: 'Of the processor, what the server process used: PostgreSQL is not in it, and shares the machine with it.',
    })),
    targets: TARGETS.filter(({ screen }) => screens.includes(screen)).map(({ screen, one, other, atMost }) => ({
      claim: `${screen}: server CPU, ${one} ÷ ${other}`,
      unit: '×',
      measured: rounds.ratio(`${screen}: ${one}`, `${screen}: ${other}`, 'cpuMicros'),
      atMost,
    })),
  };

  async function measure(name: Run): Promise<Record<Figure, number>> {
    const { way, waves } = runs.get(name)!;
    const { server, url } = servers.get(ways[way].server)!;
    const ask = { url, waves, lines: ways[way].lines, users, connections: CONNECTIONS };
    await load.ask('run', { ...ask, durationMs: warmUpMs });
    const usage = () => Promise.all([server.ask('usage', { collect: false }), load.ask('usage', { collect: false })]);
    const [server0, load0] = await usage();
    const { screens, tookMs, ...looked } = await load.ask('run', { ...ask, durationMs });
    const [server1, load1] = await usage();
    const busyMicros = server1.cpuMicros - server0.cpuMicros;
    return {
      ...looked,
      waits: waves.length,
      cpuMicros: busyMicros / screens,
      rate: screens / (tookMs / 1_000),
      serverBusy: busyMicros / (tookMs * 10),
      loadBusy: (load1.cpuMicros - load0.cpuMicros) / (tookMs * 10),
    };
  }
}
