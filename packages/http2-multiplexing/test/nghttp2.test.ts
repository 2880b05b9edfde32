/** The clients of others against the server: what the chapter says that they print, they print. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { requireExtra } from '@patterns/services/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LIMITS } from '../limits.ts';
import { DOWNLOAD, DOWNLOAD_BYTES, itemPath } from '../protocol.ts';
import { serve } from './serving.ts';

const execute = promisify(execFile);
/** Long enough for a busy machine, and an end for a program that would wait for ever. */
const run = async (program: string, ...args: string[]) =>
  (await execute(program, args, { timeout: 15_000, maxBuffer: 2e7 })).stdout;

let serving: Awaited<ReturnType<typeof serve>>;
beforeAll(async () => {
  serving = await serve();
});
afterAll(() => serving[Symbol.asyncDispose]());

requireExtra('nghttp2')('nghttp2', () => {
  test('nghttp: h2 by ALPN, a hundred streams allowed, and one connection for a hundred items', async () => {
    const paths = Array.from({ length: 100 }, (_, index) => `${serving.url}${itemPath(index + 1)}`);
    const output = await run('nghttp', '-nv', ...paths);
    expect(output).toContain('The negotiated protocol: h2');
    expect(output).toContain('SETTINGS_MAX_CONCURRENT_STREAMS(0x03):100');
    expect(output).toContain(`window_size_increment=${LIMITS.connectionWindowBytes - 65_535}`);
    expect(output.match(/:status: 200/g)).toHaveLength(100);
    expect(output.match(/Connected/g)).toHaveLength(1);
  });

  test('h2load: a thousand requests over one connection, all of them succeed', async () => {
    const output = await run('h2load', '-n1000', '-c1', '-m100', `${serving.url}${itemPath(1)}`);
    expect(output).toContain('Application protocol: h2');
    expect(output).toContain(
      'requests: 1000 total, 1000 started, 1000 done, 1000 succeeded, 0 failed, 0 errored, 0 timeout',
    );
  });

  test('curl: HTTP/2 and HTTP/1.1 at the same port, a small answer and a big one', async () => {
    for (const [flag, version] of [
      ['--http2', '2'],
      ['--http1.1', '1.1'],
    ] as const) {
      const write = '%{http_version} %{response_code} %{num_connects} %{size_download}\n';
      const args = ['-sSk', flag, '-o', '/dev/null', '-w', write];
      const output = await run(
        'curl',
        ...args,
        `${serving.url}/resource1`,
        '-o',
        '/dev/null',
        `${serving.url}${DOWNLOAD}`,
      );
      expect(output).toBe(`${version} 200 1 21\n${version} 200 0 ${DOWNLOAD_BYTES}\n`);
    }
  });
});
