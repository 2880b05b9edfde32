/**
 * Reads HTTP/1.1 off the bytes that a proxy passes on, so that a demo can show the real wire and neither server nor client
 * needs a line of code for it. Just enough of a parser for our own demos: no HEAD (whose answer tells the length of a body
 * that does not come), no trailers, no upgrade.
 */
import type { Story } from './story.ts';

export interface WireOptions {
  story: Story;
  client: string;
  /** The server's name, or a function that tells it for a new connection. */
  server: string | (() => string);
  /** The headers worth showing, in lower case. */
  headers?: readonly string[];
  /** What to print for a line of a body, or nothing. Default: the line, shortened. */
  body?: (line: string, direction: Direction) => string | undefined;
}

/** `up`: from client to server. */
export type Direction = 'up' | 'down';

/** Makes the options of a fault proxy that tells each message to the story, and counts the requests. */
export function httpWire({ story, client, server, headers = [], body = shorten }: WireOptions) {
  const connections = new Map<number, Record<Direction, (text: string) => void>>();
  const open = () => {
    const peer = typeof server === 'string' ? server : server();
    const read = (direction: Direction, from: string, to: string) =>
      messageReader({
        onHead(startLine, fields) {
          if (direction === 'up') wire.requests++;
          const shown = fields.filter((field) => headers.includes(fieldName(field)));
          story.wire(from, to, [startLine.replace(/^HTTP\/1\.1 | HTTP\/1\.1$/, ''), ...shown].join('  '));
        },
        onBodyLine(line) {
          const text = line && body(line, direction);
          if (text) story.wire(from, to, text);
        },
      });
    return { up: read('up', client, peer), down: read('down', peer, client) };
  };
  const wire = {
    requests: 0,
    onData(chunk: Buffer, { direction, connection }: { direction: Direction; connection: number }): void {
      const readers = connections.get(connection) ?? open();
      connections.set(connection, readers);
      readers[direction](chunk.toString('latin1'));
    },
  };
  return wire;
}

interface Listener {
  onHead: (startLine: string, fields: readonly string[]) => void;
  onBodyLine: (line: string) => void;
}

/** Reads one direction of one connection, message after message. Takes the bytes as latin1: a character each. */
function messageReader({ onHead, onBodyLine }: Listener): (text: string) => void {
  let buffered = '';
  let head: string[] = [];
  let body: Body = NO_BODY;

  const tellBody = (bytes: string) => {
    for (const line of Buffer.from(bytes, 'latin1').toString().split(/\r?\n/)) onBodyLine(line);
  };
  const readLine = (line: string) => {
    if (body.until === 'close') tellBody(line);
    else if (body.until === 'last chunk') {
      if (line === '') return; // what ends a chunk
      const bytes = Number.parseInt(line, 16);
      body = bytes > 0 ? { ...body, bytes } : NO_BODY;
    } else if (line !== '') head.push(line);
    else if (head.length > 0) {
      const [startLine, ...fields] = head as [string, ...string[]];
      head = [];
      onHead(startLine, fields);
      body = bodyOf(startLine, fields.join('\n'));
    }
  };

  return (text: string): void => {
    buffered += text;
    for (;;) {
      if (body.bytes > 0) {
        if (buffered.length < body.bytes) return;
        tellBody(buffered.slice(0, body.bytes));
        buffered = buffered.slice(body.bytes);
        body = { ...body, bytes: 0 };
      }
      const end = buffered.indexOf('\n');
      if (end === -1) return;
      const line = buffered.slice(0, end).replace(/\r$/, '');
      buffered = buffered.slice(end + 1);
      readLine(line);
    }
  };
}

/** What is left of a message's body: `bytes` of it, or of the chunk that is being read; and where it ends. */
interface Body {
  readonly bytes: number;
  readonly until: 'length' | 'last chunk' | 'close';
}

const NO_BODY: Body = { bytes: 0, until: 'length' };

/** In the order in which the specification decides [RFC 9112 §6.3]. */
function bodyOf(startLine: string, fields: string): Body {
  if (/^HTTP\/1\.1 (1|204|304)/.test(startLine)) return NO_BODY;
  if (/^transfer-encoding:/im.test(fields)) return { bytes: 0, until: 'last chunk' };
  const length = /^content-length: *(\d+)/im.exec(fields);
  if (length) return { bytes: Number(length[1]), until: 'length' };
  return startLine.startsWith('HTTP/') ? { bytes: 0, until: 'close' } : NO_BODY;
}

const fieldName = (field: string) => field.slice(0, field.indexOf(':')).toLowerCase();

/** The default for a body: not more than fits a terminal. */
function shorten(line: string): string {
  return line.length > 72 ? `${line.slice(0, 71)}…` : line;
}
