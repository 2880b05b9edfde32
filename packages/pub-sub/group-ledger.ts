/**
 * What Redis keeps of a consumer group: how far it has read, and for each entry in somebody's hand, whose, since when, and how often
 * it was delivered [XPENDING]. Each function is one step of that bookkeeping.
 */
import type { Redis } from 'ioredis';
import { beforeOldest, type LogEntry, parseEntries, positionOf, type RawEntry, seqOf } from './log.ts';

/** A member's place: the connections it has, and the names it goes by. */
export interface Place {
  commands: Redis;
  /** Of its own: a read that waits holds up whatever is asked behind it. */
  reader: Redis;
  key: string;
  group: string;
  consumer: string;
}

/** An entry in hand. */
export interface Parcel extends LogEntry {
  readonly position: string;
  /** 1 the first time. */
  readonly attempt: number;
}

/** Where entries go that failed every time, each with its reason. */
export const asideKey = (key: string) => `${key}:aside`;

/** How many of those are kept: enough to find out what is wrong. */
const ASIDE_KEPT = 1_000;

/** Makes group and Stream; a group that exists goes on where it was. */
export async function createGroup({ commands, key, group }: Place, start: string): Promise<void> {
  await commands.xgroup('CREATE', key, group, start, 'MKSTREAM').catch((error: Error) => {
    if (!error.message.startsWith('BUSYGROUP')) throw error;
  });
}

// #region read
/** What nobody in the group has had yet; waits up to `blockMs` for it. */
export async function readNew(place: Place, count: number, blockMs: number): Promise<Parcel[]> {
  const { reader, key, group, consumer } = place;
  const answer = (await reader.xreadgroup(
    ...(['GROUP', group, consumer, 'COUNT', count, 'BLOCK', blockMs, 'STREAMS', key, '>'] as const),
  )) as [key: string, entries: RawEntry[]][] | null;
  return parcels(answer?.[0]?.[1] ?? []);
}

/** What somebody has had for `idleMs` without a sign of life: from now on it is ours. Also counts what was trimmed meanwhile. */
export async function claimStale(place: Place, count: number, idleMs: number) {
  const { commands, key, group, consumer } = place;
  const [, claimed, gone] = (await commands.xautoclaim(
    ...([key, group, consumer, idleMs, '0-0', 'COUNT', count] as const),
  )) as [cursor: string, entries: RawEntry[], gone: string[]];
  const lost = gone.length + (await trimmedUnread(place));
  if (claimed.length === 0) return { stale: [], lost };
  // XAUTOCLAIM counts the delivery and does not tell the count.
  const [first, last] = [claimed[0]![0], claimed.at(-1)![0]];
  const pending = (await commands.xpending(key, group, first, last, 10 * count, consumer)) as Pending[];
  const attempts = new Map(pending.map(([id, , , deliveries]) => [id, deliveries]));
  return { stale: parcels(claimed, attempts), lost };
}
// #endregion

type Pending = [id: string, consumer: string, idleMs: number, deliveries: number];

export async function acknowledge({ commands, key, group }: Place, positions: readonly string[]): Promise<void> {
  if (positions.length > 0) await commands.xack(key, group, ...positions);
}

/** A sign of life for what is in hand: its idle time starts anew, and its deliveries are not counted (JUSTID). */
export async function keep(place: Place, positions: readonly string[], idleMs = 0): Promise<void> {
  const { commands, key, group, consumer } = place;
  if (positions.length === 0) return;
  await commands.xclaim(...([key, group, consumer, 0, ...positions, 'IDLE', idleMs, 'JUSTID'] as const));
}

/** Moves an entry away, so that it is neither lost nor delivered again. */
export async function setAside(place: Place, { text, position, attempt }: Parcel, reason: string): Promise<void> {
  const { commands, key, group } = place;
  const fields = ['message', text, 'reason', reason, 'attempts', attempt, 'position', position];
  const moved = commands.multi().xadd(asideKey(key), 'MAXLEN', '~', ASIDE_KEPT, '*', ...fields);
  await moved.xack(key, group, position).exec();
}

/** Forgets a member that has nothing in hand. With something in hand it must stay: DELCONSUMER would drop that for good. */
export async function forget({ commands, key, group, consumer }: Place): Promise<void> {
  const inHand = await commands.xpending(key, group, '-', '+', 1, consumer);
  if (inHand.length === 0) await commands.xgroup('DELCONSUMER', key, group, consumer);
}

export interface GroupState {
  readonly name: string;
  readonly consumers: number;
  /** Delivered and not acknowledged. */
  readonly pending: number;
  /** Not delivered yet; null when entries that it had not read are gone. */
  readonly lag: number | null;
  readonly lastDelivered: number;
}

/** The groups of a log, for gauges. */
export async function groupsOf(commands: Redis, key: string): Promise<GroupState[]> {
  const groups = (await commands.xinfo('GROUPS', key)) as (string | number | null)[][];
  return groups.map((pairs) => {
    const field = (name: string) => pairs[pairs.indexOf(name) + 1] ?? null;
    const [consumers, pending, lag] = [
      Number(field('consumers')),
      Number(field('pending')),
      field('lag') as number | null,
    ];
    return {
      name: String(field('name')),
      consumers,
      pending,
      lag,
      lastDelivered: seqOf(String(field('last-delivered-id'))),
    };
  });
}

/** Entries that were trimmed before anybody in the group read them, so far. Redis passes over them without a word. */
async function trimmedUnread({ commands, key, group }: Place): Promise<number> {
  const state = (await groupsOf(commands, key)).find(({ name }) => name === group);
  return state ? Math.max(0, (await beforeOldest(commands, key)) - state.lastDelivered) : 0;
}

function parcels(entries: readonly RawEntry[], attempts?: ReadonlyMap<string, number>): Parcel[] {
  return parseEntries(entries).map((entry) => {
    const position = positionOf(entry.seq);
    return { ...entry, position, attempt: attempts?.get(position) ?? 1 };
  });
}
