/**
 * The owner's side of supervisor.ts: starts one, hands it the plan, and follows its reports.
 */
import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { ServiceError } from './service.ts';
import type { Plan, Report } from './supervisor.ts';

/** A server that we started, and that may be killed and started again. */
export interface Supervised extends AsyncDisposable {
  /** Its own; removed at the end. */
  readonly directory: string;
  /** Of the running server; 0 while there is none. */
  readonly pid: number;
  /** The line by which the running server said that it is ready; '' while there is none. */
  readonly readyLine: string;
  /** Ends the server, and resolves when it has ended. SIGKILL unless told: the fault that tests want. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Starts the killed server again, with the same arguments in the same directory. */
  restart(): Promise<void>;
}

/** Resolves when the server says that it is ready. Rejects with `start-failed` and the end of what it printed, or with
 *  the signal's reason; either way nothing is left of it. */
export async function supervise(plan: Plan, options: { signal?: AbortSignal } = {}): Promise<Supervised> {
  options.signal?.throwIfAborted();
  const child = spawn(process.execPath, [fileURLToPath(new URL('supervisor.ts', import.meta.url))], {
    detached: true, // a session of its own: ^C in the terminal is for the owner, whose end the supervisor then sees
    cwd: '/',
    env: { ...process.env, NODE_OPTIONS: '' }, // a debugger's or a tracer's flags are not meant for it
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const gone = new Promise((resolve) => child.once('close', resolve));
  const changes = new EventEmitter();
  let state: Report | { is: 'starting' } = { is: 'starting' };
  let complaint = '';
  const become = (next: typeof state): void => {
    state = next;
    changes.emit('change');
  };
  child.on('error', () => {}); // a supervisor that could not be started closes all the same
  child.stdin.on('error', () => {});
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text;
  });
  createInterface({ input: child.stdout }).on('line', (line) => become(JSON.parse(line) as Report));
  child.on('close', () => become({ is: 'exited', why: 'its supervisor ended', output: complaint }));

  // While somebody waits for a report, the process must not end for want of work; else we do not keep it alive.
  const hold = (held: boolean): void => {
    for (const handle of [child, child.stdin as Socket, child.stdout as Socket, child.stderr as Socket]) {
      if (held) handle.ref();
      else handle.unref();
    }
  };
  async function left(was: 'starting' | 'ready', signal?: AbortSignal): Promise<void> {
    hold(true);
    while (state.is === was) await once(changes, 'change', signal && { signal });
    hold(false);
  }
  async function up(signal?: AbortSignal): Promise<void> {
    await left('starting', signal);
    if (state.is === 'exited') throw startFailed(plan, state);
  }
  const supervised: Supervised = {
    directory: plan.directory,
    get pid() {
      return state.is === 'ready' ? state.pid : 0;
    },
    get readyLine() {
      return state.is === 'ready' ? state.line : '';
    },
    async kill(signal = 'SIGKILL') {
      if (state.is !== 'ready') return;
      process.kill(state.pid, signal);
      await left('ready');
    },
    async restart() {
      if (state.is === 'ready') return;
      state = { is: 'starting' };
      child.stdin.write('start\n');
      await up();
    },
    async [Symbol.asyncDispose]() {
      hold(true);
      child.stdin.end();
      await gone;
    },
  };
  child.stdin.write(`${JSON.stringify(plan)}\n`);
  try {
    await up(options.signal);
    return supervised;
  } catch (error) {
    await supervised[Symbol.asyncDispose]();
    throw options.signal?.aborted ? options.signal.reason : error;
  }
}

function startFailed(plan: Plan, { why, output }: { why: string; output: string }): ServiceError {
  const last = output.trimEnd().split('\n').at(-1)?.trim() ?? '';
  return new ServiceError('start-failed', `${plan.server.file} did not start (${why})${last && `: ${last}`}`, {
    cause: new Error(output),
  });
}
