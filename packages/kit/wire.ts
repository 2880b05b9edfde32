/**
 * Reads HTTP/1.1 off the bytes that a proxy passes on, so that a demo can show the real wire and neither server nor client
 * needs a line of code for it. Just enough of a parser for our own demos: it follows Content-Length, and takes any other body
 * line by line, as it streams.
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
  const readers = new Map<string, (text: string) => void>();
  const read = (direction: Direction): ((text: string) => void) => {
    const peer = typeof server === 'string' ? server : server();
    const [from, to] = direction === 'up' ? [client, peer] : [peer, client];
    const onHead = () => {
      if (direction === 'up') wire.requests++;
    };
    return messageReader({
      headers,
      onHead,
      tell: (text) => story.wire(from, to, text),
      body: (line) => body(line, direction),
    });
  };
  const wire = {
    requests: 0,
    onData(chunk: Buffer, { direction, connection }: { direction: Direction; connection: number }): void {
      const key = `${direction}${connection}`;
      const reader = readers.get(key) ?? read(direction);
      readers.set(key, reader);
      reader(chunk.toString('latin1'));
    },
  };
  return wire;
}

interface Reader {
  headers: readonly string[];
  onHead: () => void;
  tell: (text: string) => void;
  body: (line: string) => string | undefined;
}

function messageReader({ headers, onHead, tell, body }: Reader): (text: string) => void {
  let buffered = '';
  let head: string[] | undefined = [];
  let remaining = 0; // of a body with a known length, in bytes
  const tellBody = (text: string) => {
    const shown = body(Buffer.from(text, 'latin1').toString());
    if (shown !== undefined) tell(shown);
  };

  return (text: string): void => {
    buffered += text;
    for (;;) {
      if (!head && remaining > 0) {
        if (buffered.length < remaining) return;
        tellBody(buffered.slice(0, remaining));
        buffered = buffered.slice(remaining);
        remaining = 0;
        head = [];
      }
      const end = buffered.indexOf('\n');
      if (end === -1) return;
      const line = buffered.slice(0, end).replace(/\r$/, '');
      buffered = buffered.slice(end + 1);
      if (!head) {
        if (isStartLine(line)) head = [line];
        else tellBody(line);
      } else if (line !== '') {
        head.push(line);
      } else if (head.length > 0) {
        onHead();
        tell([startLine(head[0]!), ...head.slice(1).filter((field) => headers.includes(fieldName(field)))].join('  '));
        remaining = Number(/^content-length: *(\d+)/im.exec(head.join('\n'))?.[1] ?? 0);
        const streams = /^(transfer-encoding:|content-type: text\/event-stream)/im.test(head.join('\n'));
        head = remaining > 0 || streams ? undefined : [];
      }
    }
  };
}

const isStartLine = (line: string) => /^(HTTP\/1\.1 \d|[A-Z]+ \S+ HTTP\/1\.1$)/.test(line);
const startLine = (line: string) => line.replace(/^HTTP\/1\.1 | HTTP\/1\.1$/, '');
const fieldName = (field: string) => field.slice(0, field.indexOf(':')).toLowerCase();

/** The default for a body: not the framing of chunks, not more than fits a terminal. */
function shorten(line: string): string | undefined {
  if (line === '' || /^[0-9a-f]+$/i.test(line)) return undefined;
  return line.length > 72 ? `${line.slice(0, 71)}…` : line;
}
