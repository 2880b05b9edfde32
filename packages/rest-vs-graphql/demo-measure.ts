/** What each screen costs in each way, measured alike: on connections that are open, with a cache that is empty. */
import { performance } from 'node:perf_hooks';
import type { Line } from './demo-stage.ts';
import { documents, type ScreenName } from './documents.ts';
import { type Cost, type HttpClient, openHttpClient } from './http-client.ts';
import type { Screens } from './screens.ts';

/** A continent away, there and back. */
export const FAR_MS = 50;

export const SCREENS = Object.keys(documents) as ScreenName[];

/** A way to a screen. */
export interface Way {
  readonly line: Line;
  readonly screen: <Name extends ScreenName>(name: Name, http: HttpClient) => Promise<Screens[Name]>;
}

export interface Measured {
  readonly screen: unknown;
  readonly cost: Cost;
  /** The same screen once more, by a client with a cache. */
  readonly again: Cost;
  /** The median, with the server beside us, and with a round trip of `FAR_MS`. */
  readonly nearMs: number;
  readonly farMs: number;
}

export type Measures = Record<ScreenName, Measured>;

/** Gets each screen a few times. Nothing of it is told. */
export function measureWay({ line, screen }: Way, signal: AbortSignal): Promise<Measures> {
  return line.unseen(async () => {
    const measured: Partial<Measures> = {};
    for (const name of SCREENS) {
      using plain = openHttpClient({ signal, caching: false });
      const took = async (times: number) => {
        const all: number[] = [];
        for (let i = 0; i < times; i++) {
          const startedAt = performance.now();
          await screen(name, plain);
          all.push(performance.now() - startedAt);
        }
        return all.sort((a, b) => a - b)[times >> 1]!;
      };
      await took(1); // opens the connections
      const nearMs = await took(5);
      line.delay(FAR_MS);
      const farMs = await took(3);
      line.delay(0);
      plain.takeCost();
      const shown = await screen(name, plain);
      const cost = plain.takeCost();
      using caching = openHttpClient({ signal });
      await screen(name, caching);
      caching.takeCost();
      await screen(name, caching);
      measured[name] = { screen: shown, cost, again: caching.takeCost(), nearMs, farMs };
    }
    return measured as Measures;
  });
}

/** One column of the closing table. */
export function columnOf(measures: Measures): Record<string, string> {
  return Object.fromEntries(
    SCREENS.flatMap((name) => {
      const { cost, again, nearMs, farMs } = measures[name];
      return [
        [`${name}: requests, round trips`, `${cost.requests}, ${cost.roundTrips}`],
        [`${name}: bytes on the wire`, count(cost.bytes)],
        [`${name}: SQL statements`, `${cost.statements}`],
        [`${name}: ms, at 0 and at ${FAR_MS} ms`, `${Math.round(nearMs)}, ${Math.round(farMs)}`],
        [`${name}: once more, bytes`, `${count(again.bytes)} ${cachedAs(again)}`],
      ];
    }),
  );
}

export const count = (value: number) => value.toLocaleString('en');

function cachedAs({ requests, notModified, notSent }: Cost): string {
  if (notSent > 0) return `(${notSent} not sent)`;
  if (notModified === 0) return '(all anew)';
  return requests === 1 ? '(304)' : `(${notModified} × 304)`;
}
