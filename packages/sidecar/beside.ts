/**
 * An app beside a sidecar, when the sidecar is started alone: in an orchestrator, these are two containers of one pod.
 *
 * The order matters at both ends. The app is there before the sidecar listens. And it is told to stop after the sidecar has
 * finished: stop accepting, let what is under way finish, then tell the app.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startProcess } from '@patterns/kit/testing/processes';

/** Starts app.ts on a socket in a directory that nobody else may enter. @returns its address, as `upstream` wants it */
export async function startApp(stack: AsyncDisposableStack, signal?: AbortSignal): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'sidecar-')); // mode 0700
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  signal?.throwIfAborted();
  const env = { APP_SOCKET: join(directory, 'app.sock') };
  // Not given the signal: it would stop at the same time as the sidecar, and not after it.
  return stack.use(startProcess(new URL('app.ts', import.meta.url), { env })).url();
}
