/**
 * The process that owns a started server: `node supervisor.ts`, a plan as the first line on stdin.
 *
 * It runs in a session of its own and lives as long as its stdin. The kernel closes that pipe however the process at
 * the other end dies, kill -9 included, which no exit handler in that process could promise; then the server is
 * stopped and its directory removed. Nothing is written anywhere before the plan has been read, so an owner that dies
 * halfway through a start leaves nothing either.
 *
 * On stdin further lines `start` start the server again after it was killed; on stdout one JSON report per line.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface Command {
  file: string;
  args: string[];
  /** Added to the environment. */
  env?: Record<string, string>;
  /** Whom to run it as; only root may say so. */
  user?: User;
}

export interface User {
  uid: number;
  gid: number;
}

export interface Plan {
  /** Made first, for the owner's eyes only, and removed last. The working directory of every command. */
  directory: string;
  /** Who owns the directory, when not who runs the supervisor. */
  user?: User;
  /** Written into the directory, by name. */
  files?: Record<string, string>;
  /** Run one after the other, each to its end, before the server. */
  prepare?: Command[];
  server: Command;
  /** The server prints this when it takes connections. Its own word: a probe of the port might meet another server. */
  ready: string;
  stopSignal: NodeJS.Signals;
}

/** `line` is the one that the server printed with the plan's `ready` in it. */
export type Report = { is: 'ready'; pid: number; line: string } | Exited;

/** `output` is the end of what the server printed. */
type Exited = { is: 'exited'; why: string; output: string };

/** Signalled servers are gone in a few hundredths of a second; one that is frozen (SIGSTOP) needs the harder word. */
const stopGraceMs = 400;
/** Enough of a log for the line that explains a failure. */
const outputBytes = 8_192;

let plan: Plan | undefined;
let running: ChildProcess | undefined;
let serving = false;
let ending = false;

function report(message: Report): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

/** Runs a command until it and everything that holds its output has ended. */
async function run({ file, args, env, user }: Command, cwd: string, ready?: string): Promise<Omit<Exited, 'is'>> {
  // A process group of its own, so that what it started can be killed with it.
  const options = { cwd, env: { ...process.env, ...env }, ...user, detached: true };
  const child = spawn(file, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  running = child;
  // When it is killed, what it started would go on without it (RabbitMQ's is a script that started an Erlang).
  child.once('exit', () => signalGroup(child.pid as number, 'SIGKILL'));
  let output = '';
  let waiting = true;
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-outputBytes);
      if (!waiting || ready === undefined) return;
      // What follows the last newline may go on.
      const line = output
        .split('\n')
        .slice(0, -1)
        .find((each) => each.includes(ready));
      if (line === undefined) return;
      waiting = false;
      report({ is: 'ready', pid: child.pid ?? 0, line });
    });
  }
  const why = await new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  running = undefined;
  return { why, output };
}

async function serve({ server, directory, ready }: Plan): Promise<void> {
  serving = true;
  const end = await run(server, directory, ready);
  serving = false;
  report({ is: 'exited', ...end });
}

async function execute(plan: Plan): Promise<void> {
  const { directory, user, files = {}, prepare = [] } = plan;
  mkdirSync(directory, { mode: 0o700 });
  if (user) chownSync(directory, user.uid, user.gid);
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(directory, name), content, { mode: 0o600 });
    if (user) chownSync(join(directory, name), user.uid, user.gid);
  }
  for (const command of prepare) {
    const end = await run(command, directory);
    if (ending) return;
    if (end.why !== 'exit code 0') return report({ is: 'exited', ...end });
  }
  await serve(plan);
}

async function end(): Promise<void> {
  if (ending) return;
  ending = true;
  const child = running;
  if (child?.pid !== undefined && child.exitCode === null && child.signalCode === null) {
    const gone = once(child, 'exit');
    const harder = setTimeout(signalGroup, stopGraceMs, child.pid, 'SIGKILL');
    signalGroup(child.pid, serving && plan ? plan.stopSignal : 'SIGKILL');
    await gone;
    clearTimeout(harder);
  }
  // What the server started may still be writing its last file: look again until the directory stays away.
  if (plan) rmSync(plan.directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  process.exit(0);
}

function signalGroup(leader: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-leader, signal);
  } catch {
    // Gone in this very moment: its exit event is on the way.
  }
}

if (import.meta.main) {
  // Nobody reads the reports of an owner that is gone.
  process.stdout.on('error', () => {});
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => void end());
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      if (plan === undefined) {
        plan = JSON.parse(line) as Plan;
        void execute(plan);
      } else if (running === undefined) {
        void serve(plan);
      }
    })
    .on('close', () => void end());
}
