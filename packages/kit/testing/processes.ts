/**
 * Starts `node file.ts ...args` as a process of its own, so that a fault can be a real one: `kill -9` of a server is not
 * the same as its `close()`. Used by demos and tests alike.
 *
 * The IPC channel carries no messages: it is how the child learns that its parent has died, even of kill -9 (in the child
 * 'disconnect' is emitted). The child stays in our process group, so ^C reaches it too.
 * Ends by itself, by `kill()`, when `signal` aborts, or when disposed: SIGTERM, and SIGKILL after a deadline.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { EventQueue } from './event-queue.ts';
import { within } from './until.ts';

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export interface ChildProgram extends AsyncDisposable {
  readonly pid: number;
  /** The URL of its first line "listening on <url>". Rejects with its last lines when it exits before. */
  url(withinMs?: number): Promise<string>;
  /** Its lines on stdout, as they come; closed when it exits. */
  readonly lines: EventQueue<string>;
  /** Takes the first line on stdout, printed already or to come, that matches; see `EventQueue.find`. */
  line(pattern: RegExp | ((line: string) => boolean), options?: { withinMs?: number }): Promise<string>;
  /** Everything it printed so far, stdout and stderr, for error messages. */
  output(): string;
  /** Sends the signal (default SIGKILL) and resolves when the process is gone. */
  kill(signal?: NodeJS.Signals): Promise<Exit>;
  /** Resolves when it is gone and all its output has been read; never rejects. */
  readonly exited: Promise<Exit>;
}

export interface ProcessOptions {
  args?: string[];
  /** Added to this process's environment; `undefined` removes a variable. */
  env?: Record<string, string | undefined>;
  /** How error messages call it. */
  name?: string;
  onLine?: (line: string, stream: 'stdout' | 'stderr') => void;
  signal?: AbortSignal;
}

/** Longer than the drain deadline of any server here: a process that needs SIGKILL has a fault. */
const STOP_GRACE_MS = 10_000;

/** Starts `file` (a path or a file: URL) on the Node that runs us. Throws when `signal` has aborted already. */
export function startProcess(file: string | URL, options: ProcessOptions = {}): ChildProgram {
  const { args = [], env, onLine, signal } = options;
  signal?.throwIfAborted();
  const path = file instanceof URL || file.startsWith('file:') ? fileURLToPath(file) : file;
  const name = options.name ?? `node ${[path, ...args].join(' ')}`;
  const child = spawn(process.execPath, [path, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  // The process itself keeps us alive while it runs; the channel alone must not.
  child.channel?.unref();

  const printed: string[] = [];
  const lines = new EventQueue<string>();
  const listening = Promise.withResolvers<string>();
  listening.promise.catch(() => {}); // who never asks for the URL isn't told that there is none
  const read = (input: Readable, stream: 'stdout' | 'stderr') =>
    createInterface({ input }).on('line', (line) => {
      printed.push(line);
      onLine?.(line, stream);
      if (stream === 'stderr') return;
      lines.push(line);
      const url = /\blistening on (\w+:\/\/\S+)/.exec(line)?.[1];
      if (url) listening.resolve(url);
    });
  read(child.stdout as Readable, 'stdout');
  read(child.stderr as Readable, 'stderr');

  const tail = () => printed.slice(-15).join('\n');
  const exited = new Promise<Exit>((resolve) => {
    const gone = (exit: Exit, how: string) => {
      const reason = new Error(`${name} ${how}. Its last lines:\n${tail()}`);
      lines.close(reason);
      listening.reject(reason);
      resolve(exit);
    };
    child.on('error', (error) => gone({ code: null, signal: null }, `failed: ${error.message}`));
    child.on('close', (code, by) => gone({ code, signal: by }, `exited with ${by ?? `code ${code}`}`));
  });
  const kill = (by: NodeJS.Signals = 'SIGKILL') => {
    child.kill(by);
    return exited;
  };
  const stop = async () => {
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS);
    await kill('SIGTERM');
    clearTimeout(timer);
  };
  const onAbort = () => void stop();
  signal?.addEventListener('abort', onAbort, { once: true });
  void exited.then(() => signal?.removeEventListener('abort', onAbort));

  return {
    pid: child.pid ?? -1,
    url: (withinMs = 10_000) =>
      within(`"listening on <url>" of ${name}`, withinMs, listening.promise).catch((error: Error) => {
        throw new Error(`${error.message}\n${tail()}`, { cause: error });
      }),
    lines,
    line: (pattern, wait) =>
      lines.find(
        `line of ${name} that matches ${String(pattern)}`,
        (line) => (pattern instanceof RegExp ? pattern.test(line) : pattern(line)),
        wait,
      ),
    output: () => printed.join('\n'),
    kill,
    exited,
    [Symbol.asyncDispose]: stop,
  };
}
