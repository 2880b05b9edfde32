/**
 * The other half of back-pressure: `write` has said false, and the reader decides when to go on.
 */
import type { ServerResponse } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';

/** Resolves when the response takes more, or takes no more at all: its reader has left, and then it has closed. */
export function drained(response: ServerResponse & { readonly stream?: ServerHttp2Stream }): Promise<void> {
  if (response.destroyed || response.stream?.destroyed) return Promise.resolve(); // it has closed before this
  return new Promise((resolve) => {
    const goOn = () => {
      response.off('drain', goOn).off('close', goOn);
      resolve();
    };
    response.on('drain', goOn).on('close', goOn);
  });
}
