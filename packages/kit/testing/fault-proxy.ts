/**
 * A TCP proxy in front of a server, whose line can be made to fail: cut, refused, stalled, half-open, slow.
 *
 * It passes on what TCP would: bytes in order, back-pressure, the end of one direction (FIN) and the reset (RST). A
 * stalled direction passes on none of them, which is what a pulled cable looks like: both ends keep a healthy socket.
 * Ends when disposed: its port is closed and its connections are reset.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { carry, type Direction, type Line, reset } from './carry.ts';

export type Target = string | { host: string; port: number };

export interface FaultProxy extends AsyncDisposable {
  /** The target's URL (scheme, credentials, path) with the proxy's address; `tcp://` for a target without scheme. */
  readonly url: string;
  /** Connections of which at least one side is open now. */
  readonly connections: number;
  /** Bytes passed on so far: `up` to the server, `down` to the clients. */
  readonly bytes: Readonly<Record<Direction, number>>;
  /** Later connections go here, e.g. to a restarted server's new port. */
  target(target: Target): void;
  /** Resets (RST) both sides of every open connection. New ones are served. */
  cut(): void;
  /** New connections are reset at once, until `accept()`; open ones stay. */
  refuse(): void;
  accept(): void;
  /** Bytes, ends and resets stop in that direction (default both), also on new connections, until `flow()`. */
  stall(direction?: Direction | 'both'): void;
  flow(): void;
  /** The named side (default the client's) of every open connection is reset; the other is told nothing, ever. */
  halfOpen(lost?: 'client' | 'server'): void;
  /** Latency added to each chunk in each direction, in milliseconds; the order is kept. */
  delay(ms: number): void;
}

export interface FaultProxyOptions {
  /** Sees each chunk as it is passed on. Connections are numbered from 1. */
  onData?: (chunk: Buffer, info: { direction: Direction; connection: number }) => void;
}

/** Starts a proxy on a free port of 127.0.0.1. The target need not listen yet: till then its clients are reset. */
export async function startFaultProxy(target: Target, { onData }: FaultProxyOptions = {}): Promise<FaultProxy> {
  let address = addressOf(target);
  let refusing = false;
  let accepted = 0;
  const line: Line = { stalled: { up: false, down: false }, delayMs: 0 };
  const bytes = { up: 0, down: 0 };
  const open = new Set<{ client: Socket; server: Socket; advance: () => void }>();

  const serve = (client: Socket) => {
    if (refusing) {
      reset(client);
      return;
    }
    const connection = ++accepted;
    const server = connect({ ...address, allowHalfOpen: true, noDelay: true });
    const count = (direction: Direction) => (chunk: Buffer) => {
      bytes[direction] += chunk.length;
      onData?.(chunk, { direction, connection });
    };
    const advanceUp = carry('up', client, server, line, count('up'));
    const advanceDown = carry('down', server, client, line, count('down'));
    const advance = () => {
      advanceUp();
      advanceDown();
    };
    const pair = { client, server, advance };
    open.add(pair);
    for (const side of [client, server]) {
      side.on('close', () => client.closed && server.closed && open.delete(pair));
    }
  };
  const change = (stalled: Line['stalled']) => {
    line.stalled = stalled;
    for (const { advance } of open) advance();
  };
  const resetAll = (sides: readonly ('client' | 'server')[]) => {
    for (const pair of open) for (const side of sides) reset(pair[side]);
  };

  const listener = createServer({ allowHalfOpen: true, noDelay: true }, serve);
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return {
    url: urlOf(target, listener.address() as AddressInfo),
    bytes,
    get connections() {
      return open.size;
    },
    target(next) {
      address = addressOf(next);
    },
    cut: () => resetAll(['client', 'server']),
    refuse() {
      refusing = true;
    },
    accept() {
      refusing = false;
    },
    stall: (direction = 'both') =>
      change({ up: line.stalled.up || direction !== 'down', down: line.stalled.down || direction !== 'up' }),
    flow: () => change({ up: false, down: false }),
    halfOpen: (lost = 'client') => resetAll([lost]),
    delay(ms) {
      line.delayMs = ms;
    },
    async [Symbol.asyncDispose]() {
      const closed = once(listener, 'close');
      listener.close();
      resetAll(['client', 'server']);
      await closed;
    },
  };
}

const DEFAULT_PORTS = new Map([
  ['http:', 80],
  ['https:', 443],
  ['redis:', 6379],
  ['postgres:', 5432],
  ['postgresql:', 5432],
]);

function addressOf(target: Target): { host: string; port: number } {
  if (typeof target !== 'string') return { host: target.host, port: target.port };
  const { protocol, hostname, port } = new URL(target);
  const number = Number(port) || DEFAULT_PORTS.get(protocol);
  if (!number) throw new Error(`No port in ${protocol}//${hostname}`);
  return { host: hostname.replace(/^\[|\]$/g, ''), port: number };
}

function urlOf(target: Target, { address, port }: AddressInfo): string {
  if (typeof target !== 'string') return `tcp://${address}:${port}`;
  const url = new URL(target);
  url.hostname = address;
  url.port = String(port);
  // `http://host:1` reads back as `http://host:1/`; we give what we got.
  return target.endsWith('/') ? url.href : url.href.replace(/\/$/, '');
}
