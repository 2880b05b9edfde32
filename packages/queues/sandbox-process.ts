/**
 * The process that runs one piece of code, and says in one line of JSON what became of it. `sandbox.ts` starts it.
 *
 * Nothing in here is ever freed, and an engine that failed is not used any more: the process ends.
 */
import { text } from 'node:stream/consumers';
import {
  newQuickJSWASMModule,
  newVariant,
  type QuickJSContext,
  type QuickJSHandle,
  RELEASE_SYNC,
} from 'quickjs-emscripten';
import type { Run } from './sandbox.ts';
import type { Outcome, Verdict } from './submission.ts';

// Node's types do not have it.
declare const WebAssembly: {
  readonly Memory: new (pages: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
};

const PAGE_BYTES = 64 * 1024;

/** Some 1,500 calls deep. More than this, and V8's own stack would end first. */
const STACK_BYTES = 256 * 1024;

/** Between them it is asked whether time is over: a job may be too short for the engine to ask by itself. */
const JOBS_AT_ONCE = 100;

const ERROR_LENGTH = 500;

/** All that the code has beside the language. Strings cross as JSON: the engine's own way of passing them ends at a NUL. */
const WORLD = `(write, input) => {
  const { stringify } = JSON;
  const show = (value) => (typeof value === 'string' ? value : stringify(value) ?? String(value));
  globalThis.print = (...values) => write(stringify(values.map(show).join(' ')));
  globalThis.console = { log: print };
  globalThis.input = JSON.parse(input);
}`;

process.stdout.write(JSON.stringify(await execute(JSON.parse(await text(process.stdin)) as Run)));

async function execute({ code, input, limits }: Run): Promise<Verdict> {
  // The engine's own limit (`setMemoryLimit`) counts blocks and not their bytes in this build: under 64 MiB it took 2 GB. So its
  // whole memory has a maximum, and what does not fit is an "out of memory" inside.
  const memory = new WebAssembly.Memory({ initial: 256, maximum: Math.floor(limits.memoryBytes / PAGE_BYTES) });
  const engine = await newQuickJSWASMModule(newVariant(RELEASE_SYNC, { wasmMemory: memory }));
  const runtime = engine.newRuntime({ maxStackSizeBytes: STACK_BYTES });
  const vm = runtime.newContext();

  // #region limits
  const startedAt = process.threadCpuUsage();
  const cpuMs = () => {
    const { user, system } = process.threadCpuUsage(startedAt);
    return (user + system) / 1_000;
  };
  let stopped: Outcome | undefined;
  const isOver = () => {
    if (cpuMs() > limits.cpuMs) stopped ??= 'time-limit';
    return stopped !== undefined;
  };
  runtime.setInterruptHandler(isOver); // no `catch` inside can catch what follows

  let output = '';
  let room = limits.outputBytes;
  const write = (line: QuickJSHandle) => {
    if (stopped) throw new Error(stopped);
    const bytes = Buffer.from(`${JSON.parse(vm.getString(line))}\n`);
    output += bytes.toString('utf8', 0, room);
    room -= bytes.length;
    if (room < 0) stopped = 'output-limit';
  };
  // #endregion

  let failure: Failure | undefined;
  try {
    const world = vm.unwrapResult(vm.evalCode(WORLD));
    vm.unwrapResult(
      vm.callFunction(world, vm.undefined, vm.newFunction('write', write), vm.newString(JSON.stringify(input))),
    );
    failure = evaluate(vm, code, isOver);
  } catch (error) {
    // The engine itself gave up: on V8's stack, or in the middle of having no memory left.
    const reason = error instanceof RangeError ? 'stack overflow' : `the engine failed: ${(error as Error).message}`;
    failure = { text: reason, isError: false };
  }
  const isFull = memory.buffer.byteLength > limits.memoryBytes * 0.9;
  const verdict = { output, cpuMs: Math.round(cpuMs()) };
  if (stopped) return { outcome: stopped, ...verdict };
  if (!failure) return { outcome: 'finished', ...verdict };
  const isMemory = failure.text.startsWith('InternalError: out of memory') || (!failure.isError && isFull);
  return { outcome: isMemory ? 'memory-limit' : 'runtime-error', error: failure.text, ...verdict };
}

interface Failure {
  readonly text: string;
  /** As the language has it. Without memory to make one, the engine throws null, or fails itself. */
  readonly isError: boolean;
}

/** Runs it as a module, so that it may `await`; with nothing to import. @returns what went wrong. */
function evaluate(vm: QuickJSContext, code: string, isOver: () => boolean): Failure | undefined {
  const { runtime } = vm;
  const evaluated = vm.evalCode(code, 'submission.js', { type: 'module' });
  if (evaluated.error) return failureOf(vm, evaluated.error);
  while (runtime.hasPendingJob() && !isOver()) {
    const { error } = runtime.executePendingJobs(JOBS_AT_ONCE);
    if (error) return failureOf(vm, error);
  }
  const state = vm.getPromiseState(evaluated.value);
  if (state.type === 'rejected') return failureOf(vm, state.error);
  if (state.type === 'pending') return { text: 'it awaits what never comes', isError: true };
  return undefined;
}

function failureOf(vm: QuickJSContext, thrown: QuickJSHandle): Failure {
  const value: unknown = vm.dump(thrown);
  const { name, message } = (value ?? {}) as { name?: unknown; message?: unknown };
  const isError = typeof name === 'string' && typeof message === 'string';
  const text = isError ? `${name}: ${message}` : `threw ${JSON.stringify(value)}`;
  return { text: text.slice(0, ERROR_LENGTH), isError };
}
