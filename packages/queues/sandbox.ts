/**
 * Runs code that nobody has looked at, and comes back with what became of it, whatever it does.
 *
 * Two walls. Inside, a JavaScript engine compiled to WebAssembly: the code has a language, an `input` and a `print`, and there
 * is nothing else in its world, no file, no network, no process. Around it a process of our own that may read two folders,
 * with an empty environment and limits that the kernel keeps. There is one process per run (about 0.2 s of processor time), and
 * not one that is used again: so nothing that a run has broken or left behind can reach the next one, and whatever goes wrong is
 * mended by letting the process go.
 */
import { execFile } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Verdict } from './submission.ts';

export interface Limits {
  /** Processor time of the engine. Not by the clock: on a busy machine the same code gets the same verdict. */
  readonly cpuMs: number;
  /** All that the engine has, its own part included: at least 16 MiB, in steps of 64 KiB. */
  readonly memoryBytes: number;
  readonly outputBytes: number;
}

export const LIMITS: Limits = { cpuMs: 2_000, memoryBytes: 64 * 1024 * 1024, outputBytes: 16 * 1024 };

export interface Run {
  readonly code: string;
  readonly input: string;
  readonly limits: Limits;
}

export interface RunOptions extends Partial<Run> {
  readonly code: string;
  /** Kills the process. */
  readonly signal?: AbortSignal;
  /** Is told the process's id. */
  readonly onStart?: (pid: number) => void;
}

const PROCESS = fileURLToPath(new URL('sandbox-process.ts', import.meta.url));

/** The program and the packages of npm: nothing secret is there. By both names, if one of them is a link. */
const READABLE = ['sandbox-process.ts', 'node_modules/', '../../node_modules/']
  .map((path) => fileURLToPath(new URL(path, import.meta.url)))
  .flatMap((path) => [path, realpathSync(path)]);

/** Some loops within the engine do not ask it whether their time is over. Node needs some of it to start: a second more. */
const KERNEL_CPU_SECONDS = (cpuMs: number) => Math.ceil(cpuMs / 1_000 + 1);

/** By then the kernel has ended what runs: this is for a machine that gives it no time to run. */
const DEADLINE_MS = 60_000;

/** Six times the output, as JSON may need for it, and the rest of the verdict. */
const ANSWER_BYTES = (outputBytes: number) => 6 * outputBytes + 64 * 1024;

// #region run
/**
 * Runs `code`. Every end that the code itself has caused is a verdict.
 * @throws {Error} when the process was killed by somebody else, or could not do its work: try again. The signal's reason.
 */
export async function runCode({ code, input = '', limits = LIMITS, signal, onStart }: RunOptions): Promise<Verdict> {
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<Verdict>();
  // The kernel's limit on processor time also ends it when we are killed, and nobody is left to do so.
  const shell = ['-c', 'ulimit -S -t "$0" && ulimit -c 0 && exec "$@"', String(KERNEL_CPU_SECONDS(limits.cpuMs))];
  // Node's own permissions are no sandbox by themselves: they are what is left if the engine should have a hole.
  const node = [process.execPath, '--permission', ...READABLE.map((path) => `--allow-fs-read=${path}`), PROCESS];
  const options = {
    env: {},
    cwd: '/',
    timeout: DEADLINE_MS,
    killSignal: 'SIGKILL',
    maxBuffer: ANSWER_BYTES(limits.outputBytes),
    ...(signal && { signal }),
  } as const;
  const child = execFile('/bin/sh', [...shell, ...node], options, (error, stdout, stderr) => {
    if (!error) resolve(JSON.parse(stdout) as Verdict);
    else if (signal?.aborted) reject(signal.reason);
    else if (error.signal === 'SIGXCPU') resolve({ outcome: 'time-limit', output: '', cpuMs: limits.cpuMs });
    else reject(new Error(`the sandbox ended without a verdict: ${error.signal ?? stderr.trim()}`, { cause: error }));
  });
  if (child.pid !== undefined) onStart?.(child.pid);
  child.stdin?.on('error', () => {}); // it has gone before it read all: the callback above is told why
  child.stdin?.end(JSON.stringify({ code, input, limits } satisfies Run));
  return await promise;
}
// #endregion
