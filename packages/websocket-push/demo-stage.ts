/** The stage of the demo: a room in Redis, two servers, and for each client a balancer through which it reaches one or the other. */
import { randomUUID } from 'node:crypto';
import type { Stage } from '@patterns/kit/demo';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { type ChildProgram, startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { socketWire } from './demo-wire.ts';

export const SENT = 25;

/** A room of the demo's own: two demos at once do not meet. */
export const newFeedKey = () => `${process.env.REDIS_PREFIX ?? 'patterns:websocket-push:'}${randomUUID()}`;

export async function openStage({ story, signal, use }: Stage, feedKey: string) {
  const servers = new Map<string, string>();
  let serving = '';
  const doors: (() => void)[] = [];
  const start = (name: string, args: string[] = [], env: Record<string, string> = {}) =>
    use(
      startProcess(new URL(name, import.meta.url), {
        args,
        env: { FEED_KEY: feedKey, LOG_LEVEL: 'error', PING_MS: '500', SILENCE_MS: '1500', ...env },
        signal,
      }),
    );

  return {
    start,
    async serve(actor: string, file: string): Promise<ChildProgram> {
      const server = start(file);
      servers.set(actor, await server.url());
      return server;
    },
    urlOf: (actor: string) => servers.get(actor)!,
    /** New connections go to that server from now on. */
    balanceTo(actor: string): void {
      serving = actor;
      for (const turn of doors) turn();
    },
    /** A client's way to the servers. Its connections can be silenced for good: both ends keep a healthy socket. */
    async openDoor(client: string, isShown: (line: string) => boolean = () => true) {
      const show = (message: string) => {
        const line = describe(message);
        return line && isShown(line) ? line : undefined;
      };
      const wire = socketWire({ story, client, server: () => serving, show });
      const door = use(await startFaultProxy('http://127.0.0.1:1', wire));
      let line = use(await startFaultProxy('http://127.0.0.1:1'));
      const turn = () => {
        line.target(servers.get(serving)!);
        door.target(line.url);
      };
      doors.push(turn);
      turn();
      return {
        url: door.url,
        bytes: door.bytes,
        handshakes: () => wire.handshakes,
        async connected(): Promise<void> {
          await until(`${client} has connected`, () => wire.handshakes > 0);
        },
        /** What is connected now hears nothing any more, and is told nothing. New connections find another line. */
        async silence(): Promise<void> {
          line.stall();
          line = use(await startFaultProxy('http://127.0.0.1:1'));
          turn();
        },
      };
    },
    announce(): ChildProgram {
      story.act('caretaker', `puts up ${SENT} notices, five a second`);
      return start('room.ts', [], { EVERY_MS: '200', COUNT: String(SENT) });
    },
  };
}

/** A message in a line; nothing for those that would only fill the page. */
function describe(message: string): string | undefined {
  const { type, id, text, user, cursor, data } = JSON.parse(message);
  if (type === 'say') return `say ${id.slice(-2)}  "${text}"`;
  if (type === 'ack') return `ack ${id.slice(-2)}`;
  if (type === 'welcome') return `welcome ${user}, you are at ${cursor}`;
  if (type === 'notification') return data.text;
  if (type !== 'event') return undefined;
  return `${(data.type === 'said' ? `${data.from}: ${data.text}` : data.text).padEnd(26)} id ${id}`;
}
