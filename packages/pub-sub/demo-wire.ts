/**
 * Reads Redis' protocol off the bytes that a proxy passes on [RESP3], so that a demo can show the real wire and nobody's code has a
 * line for it. Replies come in the order of the commands; what Redis says by itself (`>`) comes in between.
 */
import type { Story } from '@patterns/kit/story';
import { decode } from './protocol.ts';

type Value = string | number | null | Value[] | Push;

class Push {
  readonly items: Value[];

  constructor(items: Value[]) {
    this.items = items;
  }
}

/** The value that begins at `at`, and where the next one begins; undefined while it is not all there. */
function parse(bytes: Buffer, at: number): { value: Value; next: number } | undefined {
  const end = bytes.indexOf('\r\n', at);
  if (end < 0) return undefined;
  const type = String.fromCharCode(bytes[at]!);
  const head = bytes.toString('utf8', at + 1, end);
  let next = end + 2;
  const length = Number(head);
  if (type === '$' || type === '=') {
    if (length < 0) return { value: null, next };
    if (bytes.length < next + length + 2) return undefined;
    return { value: bytes.toString('utf8', next, next + length), next: next + length + 2 };
  }
  if (!'*>~%'.includes(type)) return { value: type === ':' ? length : type === '_' ? null : head, next };
  const items: Value[] = [];
  for (let n = type === '%' ? 2 * length : length; n > 0; n--) {
    const item = parse(bytes, next);
    if (!item) return undefined;
    items.push(item.value);
    next = item.next;
  }
  return { value: type === '>' ? new Push(items) : items, next };
}

interface Line {
  buffered: { up: Buffer; down: Buffer };
  /** Commands that wait for their answer, by name. */
  asked: string[];
}

/** Makes the options of a fault proxy that tells what `actor` and Redis say to each other. */
export function redisWire(story: Story, actor: string) {
  const lines = new Map<number, Line>();
  const wire = {
    /** While true, nothing is told: two hundred messages are not two hundred lines. */
    quiet: false,
    onData(chunk: Buffer, { direction, connection }: { direction: 'up' | 'down'; connection: number }): void {
      const line = lines.get(connection) ?? { buffered: { up: Buffer.alloc(0), down: Buffer.alloc(0) }, asked: [] };
      lines.set(connection, line);
      const bytes = Buffer.concat([line.buffered[direction], chunk]);
      let at = 0;
      for (let read = parse(bytes, at); read; read = parse(bytes, at)) {
        at = read.next;
        const text = direction === 'up' ? command(read.value as string[], line) : answer(read.value, line);
        if (text && !wire.quiet)
          story.wire(...((direction === 'up' ? [actor, 'Redis'] : ['Redis', actor]) as [string, string]), text);
      }
      line.buffered[direction] = bytes.subarray(at);
    },
  };
  return wire;
}

function command([name = '', ...args]: string[], { asked }: Line): string | undefined {
  const verb = name.toUpperCase();
  if (!verb.endsWith('SUBSCRIBE')) asked.push(verb); // answered as a push
  if (verb === 'SUBSCRIBE' || verb === 'XACK') return [verb, ...args].join(' ');
  if (verb === 'PUBLISH') return `PUBLISH ${args[0]}  ${title(args[1])}`;
  if (verb === 'EVAL') return `EVAL: XADD ${args[2]} and PUBLISH ${args[5]}  ${title(args[4])}`;
  if (verb === 'XRANGE') return args[1] === '-' ? undefined : `XRANGE ${args[0]} ${args[1]} ${args[2]}`;
  if (verb === 'XREADGROUP') return `XREADGROUP ${args[1]} … ${args.at(-1)}`;
  if (verb === 'XAUTOCLAIM') return `XAUTOCLAIM ${args[1]}, what nobody touched for ${args[3]} ms`;
  return undefined;
}

function answer(value: Value, { asked }: Line): string | undefined {
  if (value instanceof Push) {
    const [kind, channel, text] = value.items as string[];
    if (kind === 'subscribe') return `subscribed to ${channel}`;
    return kind === 'message' ? `message  ${title(text)}` : undefined;
  }
  const verb = asked.shift();
  if (verb === 'PUBLISH') return `${value as number} heard it`;
  if (!Array.isArray(value)) return undefined;
  if (verb === 'EVAL') {
    const [id, receivers] = value as [string, number];
    return `number ${id.slice(2)}, ${receivers} heard it`;
  }
  // The log is read in a transaction: its first answer has the entries.
  if (verb === 'EXEC' && Array.isArray(value[0])) return entries(value[0]);
  if (verb === 'XREADGROUP') return entries((value[0] as Value[])?.[1] ?? value[1]);
  return verb === 'XAUTOCLAIM' ? entries(value[1]) : undefined;
}

function entries(value: Value | undefined): string | undefined {
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const ids = value.map((entry) => (entry as [string])[0]);
  return ids.length === 1 ? `entry ${ids[0]}` : `${ids.length} entries, ${ids[0]} to ${ids.at(-1)}`;
}

function title(text = ''): string {
  try {
    const { seq, data } = decode(text) as { seq?: number; data: { title: string } };
    return `${seq ? `#${seq} ` : ''}${data.title}`;
  } catch {
    return (JSON.parse(text) as { title: string }).title; // the naive one has no envelope
  }
}
