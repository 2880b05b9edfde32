/**
 * The answers, each as a function of the response: small ones in one piece, big ones no faster than they are read, endless ones
 * until the client leaves.
 */
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerResponse } from 'node:http2';
import { drained } from './drained.ts';
import * as protocol from './protocol.ts';

/** A small answer, in either version. */
export function send(response: ServerResponse, type: string, body: string): void {
  response.writeHead(200, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) }).end(body);
}

// #region send
/** As `send`, and over HTTP/2 on the stream itself, where it costs less: Node's face of HTTP/1.1 sends a frame more, for trailers. */
export function sendJson(response: ServerResponse, body: string): void {
  if (!isOverHttp2(response)) {
    send(response, 'application/json', body);
  } else if (!response.stream.destroyed) {
    const headers = { ':status': 200, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    response.stream.respond(headers);
    response.stream.end(body);
  }
}

const isOverHttp2 = (response: object): response is Http2ServerResponse => 'stream' in response;
// #endregion

/** A page of this folder. */
export async function sendPage(response: ServerResponse, file: string): Promise<void> {
  send(response, 'text/html; charset=utf-8', await readFile(new URL(file, import.meta.url), 'utf8'));
}

/** An item, when `delayMs` have passed: the work that a real server would have to do. */
export function sendItem(response: ServerResponse, item: number, delayMs: number): void {
  const answer = () => sendJson(response, protocol.encodeItem(item));
  if (delayMs === 0) answer();
  else later(response, delayMs, answer);
}

/** Whoever has gone meanwhile needs no answer: the work is dropped with its stream. */
function later(response: ServerResponse, delayMs: number, work: () => void): void {
  const working = setTimeout(work, delayMs);
  response.once('close', () => clearTimeout(working));
}

// #region download
const CHUNK = Buffer.alloc(16_384, 'one road, many lanes\n');

/** `write` says false when the peer's window is full: what it does not read is not made, and not kept [RFC 9113 §5.2]. */
export async function sendDownload(response: ServerResponse): Promise<void> {
  response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': protocol.DOWNLOAD_BYTES });
  let isGone = false;
  response.once('close', () => (isGone = true));
  for (let sent = 0; sent < protocol.DOWNLOAD_BYTES && !isGone; sent += CHUNK.length) {
    if (!response.write(CHUNK)) await drained(response);
  }
  response.end();
}
// #endregion

/** An event at once, and one each second. */
export function sendEvents(response: ServerResponse, closing: AbortSignal): void {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
  let n = 0;
  const tick = () => void response.write(`data: {"n":${++n}}\n\n`);
  tick();
  const ticking = setInterval(tick, 1_000);
  const end = () => void response.end();
  closing.addEventListener('abort', end);
  response.once('close', () => {
    clearInterval(ticking);
    closing.removeEventListener('abort', end);
  });
}

/** Counts a body. For `delayMs` it is not read at all: the peer may then send no more than the window of its stream. */
export function countUpload(request: IncomingMessage, response: ServerResponse, delayMs: number): void {
  let bytes = 0;
  request.on('data', (chunk: Buffer) => (bytes += chunk.length));
  request.on('end', () => send(response, 'application/json', JSON.stringify({ bytes })));
  if (delayMs > 0) {
    request.pause();
    later(response, delayMs, () => request.resume());
  }
}
