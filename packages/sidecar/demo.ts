/**
 * `pnpm dev:sidecar`: the textbook's sidecar, and what it lets through; then an app that is never changed, one power after the
 * other switched on in front of it, and what its clients notice when it hangs, dies and is replaced. On either engine:
 * `--engine undici`.
 */
import { runDemo } from '@patterns/kit/demo';
import { runNaive } from './demo-naive.ts';
import { runSound } from './demo-sound.ts';

if (import.meta.main) {
  await runDemo({
    choices: { engine: ['express', 'undici'] },
    actors: ['client', 'sidecar', 'app', 'Redis'],
    naive: { about: 'the textbook version: a log, a proxy, and a limiter behind the proxy', run: runNaive },
    sound: { about: 'the same app, new powers, not a line changed', run: runSound },
  });
}
