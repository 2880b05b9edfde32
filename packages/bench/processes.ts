/**
 * The processes of a measurement: the one that is measured, and the one that loads it, apart from each other, so that the
 * processor time of the one is not counted for the other. Questions and answers go over Node's IPC channel.
 * A child ends with its parent, or when it is disposed.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';

/** What a process has used since it began. */
export interface Usage {
  /** User and system time of all its threads, garbage collection included, in microseconds. */
  cpuMicros: number;
  /** Resident memory in bytes, after a full garbage collection. */
  residentBytes: number;
}

type Handlers = Record<string, (argument: never) => unknown>;

/** The questions that a child answers: its own, and `usage`. */
type Questions<H extends Handlers> = H & { usage: (options: { collect: boolean }) => Usage };

export interface Child<H extends Handlers> extends AsyncDisposable {
  /** Asks, and waits for the answer. Rejects when the handler threw, or the process ended. */
  ask<Q extends keyof Questions<H> & string>(
    question: Q,
    argument: Parameters<Questions<H>[Q]>[0],
  ): Promise<Awaited<ReturnType<Questions<H>[Q]>>>;
}

/** Starts a file that calls `answer`. H is the type of the handlers that it gives. */
export function startChild<H extends Handlers>(
  file: URL,
  { args = [], env = {} }: { args?: string[]; env?: Record<string, string> } = {},
): Child<H> {
  const child = fork(file, args, { execArgv: ['--expose-gc'], env: { ...process.env, LOG_LEVEL: 'error', ...env } });
  const ended = once(child, 'exit');
  const waiting = new Map<number, PromiseWithResolvers<never>>();
  let asked = 0;
  child.on('message', ({ id, error, result }: { id: number; error?: string; result: never }) => {
    if (error === undefined) waiting.get(id)?.resolve(result);
    else waiting.get(id)?.reject(new Error(error));
    waiting.delete(id);
  });
  child.on('exit', (code, signal) => {
    for (const { reject } of waiting.values()) reject(new Error(`${file.pathname} ended with ${signal ?? code}`));
  });
  return {
    ask(question, argument) {
      const answered = Promise.withResolvers<never>();
      waiting.set(++asked, answered);
      child.send({ id: asked, question, argument }, (error) => error && answered.reject(error));
      return answered.promise;
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL'); // it has nothing to lose, and a server would drain a thousand streams first
      await ended;
    },
  };
}

/** In the child: answers questions until the parent is gone. */
export function answer(handlers: Handlers): void {
  const all: Handlers = { ...handlers, usage };
  type Question = { id: number; question: string; argument: never };
  const reply = async ({ id, question, argument }: Question) => {
    try {
      process.send?.({ id, result: await all[question]?.(argument) });
    } catch (error) {
      process.send?.({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  };
  process.on('message', (message: Question) => void reply(message));
  process.once('disconnect', () => process.exit());
}

function usage({ collect }: { collect: boolean }): Usage {
  // `last-resort` also gives the free pages back: else what is resident depends on when the last pages were asked for.
  if (collect) globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  const { user, system } = process.cpuUsage();
  return { cpuMicros: user + system, residentBytes: process.memoryUsage.rss() };
}
