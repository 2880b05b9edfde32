/**
 * The bodies of a stream: the request's, and the answer's as a stream that may be read late.
 *
 * That one is not Node's `ClientHttp2Stream` itself: its `closed` says that the lane is free, and iterators, `finished` and `pipeline` take
 * that for "nothing more to read". A small answer has arrived, and its lane is free, before whoever asked has read the first byte.
 */
import { type ClientHttp2Stream, constants, type IncomingHttpHeaders, type IncomingHttpStatusHeader } from 'node:http2';
import { Readable } from 'node:stream';
import type { Reply } from './session.ts';

/** A string, bytes, or a stream, which can be sent once. */
export type RequestBody = string | Uint8Array | Readable;

/** Sends it no faster than the server's window allows. A source that fails resets the stream. */
export function sendBody(body: RequestBody, stream: ClientHttp2Stream): void {
  if (!(body instanceof Readable)) {
    stream.end(body);
    return;
  }
  body.once('error', () => stream.close(constants.NGHTTP2_CANCEL));
  stream.once('close', () => body.destroy());
  body.pipe(stream);
}

/** The answer that has begun to come on `stream`. Cut off, its body fails with what `explain` says. */
export function replyOf(
  stream: ClientHttp2Stream,
  headers: IncomingHttpHeaders & IncomingHttpStatusHeader,
  explain: () => Error,
): Reply {
  let body: Readable | undefined;
  let trailers: IncomingHttpHeaders = {};
  stream.on('trailers', (fields) => {
    trailers = fields;
  });
  return {
    status: headers[':status'] ?? 0,
    headers,
    get body() {
      body ??= bodyOf(stream, explain);
      return body;
    },
    text: () => textOf(stream, explain),
    trailers: () => trailers,
  };
}

/** Reads no faster than it is read. Destroyed before its end, it resets the stream. */
function bodyOf(stream: ClientHttp2Stream, explain: () => Error): Readable {
  let isReading = false;
  const body = new Readable({
    read() {
      if (isReading) return void stream.resume();
      isReading = true;
      stream.on('data', (chunk) => {
        if (!body.push(chunk)) stream.pause();
      });
      onEnd(stream, () => body.push(null));
    },
    destroy(error, done) {
      if (stream.readableEnded) stream.destroy();
      else stream.close(constants.NGHTTP2_CANCEL);
      done(error);
    },
  });
  // Whoever reads is told; if nobody does, that the connection is lost must not end the process.
  body.on('error', () => {});
  onCut(stream, () => body.destroy(explain()));
  return body;
}

/** Small bodies are read whole, and straight from the stream: that is cheaper than one stream more. */
function textOf(stream: ClientHttp2Stream, explain: () => Error): Promise<string> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    stream.on('data', (part: Buffer) => parts.push(part));
    onEnd(stream, () => resolve(Buffer.concat(parts).toString()));
    onCut(stream, () => reject(explain()));
  });
}

/**
 * Node says `end` also of a stream that was cut off, by a lost connection for instance: half an answer must not pass for a whole one.
 * What it does not let us tell from an end is a reset by the server without an error code, in the middle of a body.
 */
function onEnd(stream: ClientHttp2Stream, ended: () => void): void {
  stream.on('end', () => {
    if (isWhole(stream)) ended();
  });
}

function onCut(stream: ClientHttp2Stream, cut: () => void): void {
  const onClose = () => {
    if (!isWhole(stream)) cut();
  };
  if (stream.destroyed) process.nextTick(onClose);
  else stream.on('close', onClose);
}

const isWhole = ({ readableEnded, rstCode }: ClientHttp2Stream) =>
  readableEnded && rstCode === constants.NGHTTP2_NO_ERROR;
