/**
 * `pnpm dev:http2-multiplexing`: the textbook's server, which one client can end; a page of a hundred resources, over HTTP/1.1 and
 * over one HTTP/2 connection; a line that stands still; ten event streams in a real browser; and servers that go in the middle.
 */
import { type Demo, runDemo } from '@patterns/kit/demo';
import { runNaive } from './demo-naive.ts';
import { runSound } from './demo-sound.ts';

const demo: Demo = {
  actors: ['client', 'server', 'other', 'browser', 'proxy', 'backends'],
  naive: {
    about: 'the textbook version; then a page of a hundred over HTTP/1.1, by a sound server',
    run: runNaive,
  },
  sound: {
    about: 'the same page over one HTTP/2 connection, from the same server',
    run: runSound,
  },
};

if (import.meta.main) await runDemo(demo);
