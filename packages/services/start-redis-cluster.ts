/**
 * A small Redis Cluster of our own: three masters on 127.0.0.1 that share the 16384 slots, gone when their owner is.
 *
 * No replicas: it shows how keys and sharded channels are spread, not how a failed node is replaced. It takes two
 * seconds, since a master that has just started waits so long before it calls the cluster well.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { onFreePort } from './free-port.ts';
import { ServiceError } from './service.ts';
import { type StartedRedis, type StartRedisOptions, startRedis } from './start-redis.ts';

export interface StartedRedisCluster extends AsyncDisposable {
  /** In the order of their slots. Each may be killed, and restarted. */
  readonly nodes: readonly StartedRedis[];
  /** One line for people. */
  readonly about: string;
}

/** The first and the last slot of each node. */
const slots = [
  [0, 5_460],
  [5_461, 10_922],
  [10_923, 16_383],
] as const;

// Ten times what it takes on a quiet machine.
const agreeMs = 20_000;
// The gossip that is waited for goes round several times a second.
const lookAgainMs = 20;

/** Resolves when every node knows the others and serves (two seconds). Throws `not-installed`, `too-old` or
 *  `start-failed`, or the signal's reason; either way nothing is left of it. */
export async function startRedisCluster(
  options: Pick<StartRedisOptions, 'env' | 'program' | 'signal'> = {},
): Promise<StartedRedisCluster> {
  await using owned = new AsyncDisposableStack();
  const nodes: (StartedRedis & { busPort: number })[] = [];
  // One after the other: if they started at once and one failed, another could still be on its way up.
  for (const _ of slots) nodes.push(owned.use(await onFreePort((busPort) => startNode(busPort, options))));
  await form(nodes, options.signal);
  const started = owned.move();
  return {
    nodes,
    about: `started a Redis Cluster on 127.0.0.1:${nodes.map(({ port }) => port).join(', ')}, gone when this ends`,
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

/** `busPort`: where the nodes talk to each other; it would be port + 10000, where other programs' connections are. */
async function startNode(busPort: number, options: StartRedisOptions) {
  const args = ['--cluster-enabled', 'yes', '--cluster-port', `${busPort}`];
  return Object.assign(await startRedis({ ...options, args }), { busPort });
}

async function form(nodes: { url: string; port: number; busPort: number }[], signal?: AbortSignal): Promise<void> {
  using connections = new DisposableStack();
  const clients = nodes.map(({ url }) => connections.adopt(new Redis(url), (client) => client.disconnect()));
  for (const [index, client] of clients.entries()) {
    client.on('error', () => {}); // the command that it broke rejects
    await client.cluster('ADDSLOTSRANGE', ...(slots[index] ?? []));
    await client.cluster('SET-CONFIG-EPOCH', index + 1); // distinct from the start, so no two have to settle it
  }
  for (const { port, busPort } of nodes.slice(1)) await clients[0]?.cluster('MEET', '127.0.0.1', port, busPort);

  const deadline = performance.now() + agreeMs;
  while (!(await Promise.all(clients.map(isWell))).every(Boolean)) {
    if (performance.now() > deadline) throw new ServiceError('start-failed', 'the nodes of the cluster did not agree');
    await pause(lookAgainMs, undefined, signal && { signal });
  }
}

/** Serves, and knows the owner of every slot. */
async function isWell(client: Redis): Promise<boolean> {
  const info = await client.cluster('INFO');
  return info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${slots.length}\r`);
}
