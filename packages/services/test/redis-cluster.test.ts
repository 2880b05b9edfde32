/** Three real nodes that form a cluster: every key and every sharded channel has one owner. */
import { readdirSync } from 'node:fs';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { Cluster, Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { startRedisCluster } from '../start-redis-cluster.ts';
import { requireExtra } from '../testing.ts';
import { alive, descendants } from './process-table.ts';
import { temporaryFolder } from './temporary-folder.ts';

requireExtra('redis')('a Redis Cluster of our own', () => {
  test('serves every slot when it is there, on 127.0.0.1 only, and is gone after disposal', async () => {
    await using _leaks = noLeaks();
    const cluster = await startRedisCluster();
    const family = cluster.nodes.map(({ pid }) => pid);
    expect(cluster.about).toMatch(/^started a Redis Cluster on 127\.0\.0\.1:\d+, \d+, \d+, gone when this ends$/);
    for (const { url } of cluster.nodes) {
      using connections = new DisposableStack();
      const node = connections.adopt(new Redis(url), (client) => client.disconnect());
      expect(await node.cluster('INFO')).toMatch(/cluster_state:ok\r\ncluster_slots_assigned:16384\r/);
      expect(await node.config('GET', 'bind')).toEqual(['bind', '127.0.0.1']);
      // The same map at each node, in the order in which `nodes` has them.
      const slots = (await node.cluster('SLOTS')) as unknown as [number, number, [string, number]][];
      const owners = slots.sort(([a], [b]) => a - b).map(([, , [host, port]]) => `redis://${host}:${port}`);
      expect(owners).toEqual(cluster.nodes.map(({ url }) => url));
    }
    const client = new Cluster([cluster.nodes[2]?.url ?? '']);
    const keys = Array.from({ length: 30 }, (_, n) => `key:${n}`);
    expect(await Promise.all(keys.map((key) => client.set(key, key)))).toEqual(keys.map(() => 'OK'));
    client.disconnect();
    await cluster[Symbol.asyncDispose]();
    expect(await alive(family)).toEqual([]);
  });

  test('a start that is aborted leaves nothing', async () => {
    const before = await descendants(process.pid);
    const abort = new AbortController();
    const started = startRedisCluster({ signal: abort.signal });
    const begun = async () => (await descendants(process.pid)).filter((pid) => !before.includes(pid));
    // Each node has a supervisor: with all six there, it is the agreement that is being waited for.
    const family = await until('three nodes', async () => {
      const pids = await begun();
      return pids.length === 6 && pids;
    });
    abort.abort(new Error('no longer wanted'));
    await expect(started).rejects.toThrow(/no longer wanted|aborted/);
    expect(await alive(family)).toEqual([]);
  });

  test('an owner killed with -9 leaves no node and no directory, of Redis or of the mock of Kafka', async () => {
    await using folder = await temporaryFolder();
    await using owner = startProcess(new URL('fixtures/brokers-owner.ts', import.meta.url), {
      env: { TMPDIR: folder.path },
    });
    await owner.line(/^up/, { withinMs: 30_000 });
    const family = await descendants(owner.pid);
    expect(family.length).toBeGreaterThanOrEqual(6);
    await owner.kill('SIGKILL');
    await until('all processes gone', async () => (await alive(family)).length === 0);
    expect(readdirSync(folder.path).filter((name) => name.startsWith('patterns-'))).toEqual([]);
  });
});
