/**
 * An app beside a sidecar, when the sidecar is started alone; in an orchestrator these are two containers of one pod.
 *
 * The order matters at both ends. The app is there before the sidecar listens. And it is told to stop after the sidecar has
 * finished: stop accepting, let what is under way finish, then tell the app. So it runs in a session of its own, where the ^C that
 * ends the sidecar does not reach it.
 */
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Supervised, supervise } from '@patterns/services/supervise';

export interface App extends Supervised {
  /** Its address, as a sidecar wants it. */
  readonly upstream: string;
}

/**
 * Starts an app on a Unix socket in a directory that nobody else may enter: what is not on the network needs no firewall.
 * @param file app.ts, or app.py for Python
 * @param socket where it listens instead; what listened there before is no longer found
 */
export async function startApp(
  file: 'app.ts' | 'app.py',
  { signal, socket }: { signal?: AbortSignal; socket?: string } = {},
): Promise<App> {
  const directory = join(tmpdir(), `sidecar-${randomUUID()}`);
  const path = socket ?? join(directory, 'app.sock');
  const app = await supervise(
    {
      directory, // made with mode 0700, and removed at the end
      server: {
        file: file.endsWith('.py') ? 'python3' : process.execPath,
        args: [fileURLToPath(new URL(file, import.meta.url))],
        env: { APP_SOCKET: path },
      },
      ready: 'listening on',
      stopSignal: 'SIGTERM',
    },
    signal && { signal },
  );
  return Object.assign(app, { upstream: `unix:${path}` });
}
