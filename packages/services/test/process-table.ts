/** What `ps` knows: portable, and with the state that tells a running process from one that only waits to be reaped. */
import { output } from '../program.ts';

interface Row {
  pid: number;
  parent: number;
  state: string;
  command: string;
}

async function table(): Promise<Row[]> {
  const lines = (await output('ps', ['-axo', 'pid=,ppid=,state=,comm='])).split('\n');
  return lines.map((line) => {
    const [pid, parent, state = '', command = ''] = line.trim().split(/\s+/);
    return { pid: Number(pid), parent: Number(parent), state, command };
  });
}

/** The children of a process, their children, and so on. */
export async function descendants(ancestor: number): Promise<number[]> {
  const rows = (await table()).filter(({ command }) => command !== 'ps'); // itself
  const below = (pid: number): number[] =>
    rows.filter((row) => row.parent === pid).flatMap((child) => [child.pid, ...below(child.pid)]);
  return below(ancestor);
}

/** Those that still run. */
export async function alive(pids: number[]): Promise<number[]> {
  return (await table()).filter(({ pid, state }) => pids.includes(pid) && !state.startsWith('Z')).map(({ pid }) => pid);
}
