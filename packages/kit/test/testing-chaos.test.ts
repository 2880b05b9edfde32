import { expect, test } from 'vitest';
import { randomFrom, randomKills, shuffled, type Victim } from '../testing/chaos.ts';

test('a seed gives the same numbers each time, and another seed gives others', () => {
  const draw = (seed: number) => Array.from({ length: 1_000 }, randomFrom(seed));
  expect(draw(7)).toEqual(draw(7));
  expect(draw(8)).not.toEqual(draw(7));
  // The reference values of mulberry32 for the seed 1.
  expect(draw(1).slice(0, 3)).toEqual([0.6270739405881613, 0.002735721180215478, 0.5274470399599522]);
  expect(Math.min(...draw(7))).toBeGreaterThanOrEqual(0);
  expect(Math.max(...draw(7))).toBeLessThan(1);
});

test('shuffling keeps every item, and leaves the original alone', () => {
  const items = Array.from({ length: 50 }, (_, n) => n);
  const mixed = shuffled(items, randomFrom(3));
  expect(mixed).not.toEqual(items);
  expect(mixed.toSorted((a, b) => a - b)).toEqual(items);
  expect(items[0]).toBe(0);
});

test('kills fall into the work, hit each victim as often as the others, and are the same for the same seed', async () => {
  const kill = async () => {
    let done = 0;
    const hits: { name: string; at: number }[] = [];
    const victim = (name: string): Victim => ({
      name,
      async kill() {
        hits.push({ name, at: done });
        return name;
      },
    });
    const count = await randomKills({
      random: randomFrom(42),
      kills: 7,
      victims: [victim('worker'), victim('connection'), victim('backend')],
      async progress() {
        done = Math.min(1, done + 0.04);
        if (Math.abs(done - 0.2) < 0.001) throw new Error('its server is being killed: no answer this time');
        return done;
      },
      say() {},
      signal: AbortSignal.timeout(20_000),
    });
    return { count, names: hits.map(({ name }) => name), ats: hits.map(({ at }) => at) };
  };
  const [one, other] = await Promise.all([kill(), kill()]);
  expect(Object.values(one.count).toSorted((a, b) => a - b)).toEqual([2, 2, 3]);
  expect(other.names).toEqual(one.names);
  expect(one.ats.at(0)).toBeGreaterThan(0);
  expect(one.ats.at(-1)).toBeLessThan(1);
});

test('work that stands still is not waited for without end', async () => {
  const kills = randomKills({
    random: randomFrom(1),
    kills: 1,
    victims: [{ name: 'worker', kill: async () => 'never' }],
    progress: async () => 0,
    say() {},
    signal: AbortSignal.timeout(50),
  });
  await expect(kills).rejects.toThrow('aborted');
});
