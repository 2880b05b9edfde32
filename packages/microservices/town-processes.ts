/**
 * The town's processes: started, killed, started again at the same address, and all ended together.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type ChildProgram, type Exit, startProcess } from '@patterns/kit/testing/processes';
import type { Member } from './town-plan.ts';

export interface ProcessesOptions {
  /** Added to the environment of each, by its name. */
  overrides: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Who dies is started again, unless by `kill`: what an orchestrator does. */
  restarts: boolean;
  onLine?: ((line: string, name: string, stream: 'stdout' | 'stderr') => void) | undefined;
  signal?: AbortSignal | undefined;
}

export interface Processes extends AsyncDisposable {
  start(member: Member): Promise<void>;
  kill(name: string, signal?: NodeJS.Signals): Promise<Exit>;
  pidOf(name: string): number;
}

/** Ten processes, each with its libraries: seconds, and far more on a machine that has other things to do. */
const START_MS = 60_000;
/** Who dies at once each time must not keep the machine busy. */
const RESTART_MS = 500;

const COMMON = {
  // The log of all services together is for whoever asks for it.
  LOG_LEVEL: process.env.LOG_LEVEL || 'warn',
  // They load the same libraries: what V8 has made of them is kept, and the next start takes half the time.
  NODE_COMPILE_CACHE:
    process.env.NODE_COMPILE_CACHE ?? fileURLToPath(new URL('node_modules/.cache/compiled', import.meta.url)),
};

/** Disposed, it ends the gateway first, so that nobody comes any more, and then all others at once. */
export function openProcesses({ overrides, restarts, onLine, signal }: ProcessesOptions): Processes {
  const running = new Map<string, ChildProgram>();
  const killed = new WeakSet<ChildProgram>();
  const stopping = new AbortController();

  async function start(member: Member): Promise<void> {
    const { name, file, env } = member;
    const child = startProcess(file, {
      name,
      env: { ...COMMON, ...env, ...overrides[name] },
      onLine: (line, stream) => onLine?.(line, name, stream),
      ...(signal && { signal }),
    });
    running.set(name, child);
    if (restarts) void child.exited.then(() => startAgain(member, child)).catch(() => {}); // it has said why
    await child.line(/\blistening on |^running\b/, { withinMs: START_MS });
  }

  async function startAgain(member: Member, child: ChildProgram): Promise<void> {
    await delay(RESTART_MS, undefined, { signal: stopping.signal });
    if (running.get(member.name) === child && !killed.has(child)) await start(member);
  }

  return {
    start,
    kill(name, by) {
      const child = running.get(name)!;
      killed.add(child);
      return child.kill(by);
    },
    pidOf: (name) => running.get(name)?.pid ?? 0,
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await running.get('gateway')?.[Symbol.asyncDispose]();
      await Promise.all(running.values().map((child) => child[Symbol.asyncDispose]()));
    },
  };
}
