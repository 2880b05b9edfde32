/**
 * One request on its way through the sidecar, and the shape of a power: a step that lets it pass, changes it, or answers it.
 * The steps are plain functions on node:http objects, so that Express can run them (`app.use(power)`) and ten lines can, too.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Log } from '@patterns/kit/log';
import { answerError, HttpProblem } from '@patterns/kit/problem';
import { continueTrace, type Trace } from '@patterns/kit/trace';
import { clientAddress } from './forwarded.ts';
import { splitTarget } from './target.ts';

export type Power = (request: IncomingMessage, response: ServerResponse, next: (error?: unknown) => void) => void;

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly startedAt: number;
  readonly trace: Trace;
  /** The address of the client: the socket's, or what the proxies that we trust say. */
  readonly client: string;
  /** What the app is asked for, in origin form: `/menu?page=2`. It never says where to connect to. */
  readonly path: string;
  /** The host that the client meant. */
  readonly host: string;
  /** Who asks, when a token has been checked. */
  subject?: string;
  /** Fields of ours that go along with whatever the answer is: flat, name and value in turn. */
  readonly fields: string[];
  /** How often the app was asked. */
  attempts: number;
  /** From the last attempt to the head of its answer. */
  upstreamMs?: number;
  /** What the cache did. */
  cache?: 'hit' | 'stored' | 'miss';
  /** Gets the head of the app's answer as it comes, and may return a taker of its body (the cache). */
  onAnswer?: (status: number, rawHeaders: readonly string[]) => BodyTaker | undefined;
  /** Ends the attempt that is under way; set by the engine while there is one. The attempt then rejects with `reason`. */
  abort?: ((reason: Error) => void) | undefined;
}

export interface BodyTaker {
  readonly chunk: (chunk: Buffer) => void;
  /** The body has come whole. */
  readonly end: () => void;
}

const EXCHANGE = Symbol('exchange');
type Carrier = ServerResponse & { [EXCHANGE]?: Exchange };

/** The exchange that this response answers. */
export function exchangeOf(response: ServerResponse): Exchange {
  return (response as Carrier)[EXCHANGE]!;
}

/**
 * Puts the powers in a row, the first one outermost: what both engines listen with.
 * @param trustedHops how many proxies of our own stand in front (forwarded.ts)
 */
export function begin(trustedHops: number, log: Log, run: RequestListener): RequestListener {
  return (request, response) => {
    const carrier = response as Carrier;
    try {
      const { path, host } = splitTarget(request);
      carrier[EXCHANGE] = {
        request,
        response,
        startedAt: performance.now(),
        trace: continueTrace(request.headers.traceparent as string | undefined),
        client: clientAddress(request, trustedHops),
        path,
        host,
        fields: [],
        attempts: 0,
      };
    } catch (error) {
      return refuse(log, response, error);
    }
    run(request, response);
  };
}

/** Runs the powers one after the other: what `express()` does, without routes. */
export function inOrder(powers: readonly Power[], log: Log): RequestListener {
  return (request, response) => {
    let at = 0;
    const next = (error?: unknown): void => {
      try {
        const power = powers[at++];
        if (error !== undefined) throw error;
        if (!power) throw new HttpProblem(404);
        power(request, response, next);
      } catch (thrown) {
        refuse(log, response, thrown);
      }
    };
    next();
  };
}

/** Answers instead of the app. What is left of a body is not read: the connection ends with the answer. */
export function refuse(log: Log, response: ServerResponse, error: unknown): void {
  if (!response.headersSent) {
    if (!response.req.complete) response.setHeader('Connection', 'close');
    const { fields = [] } = (response as Carrier)[EXCHANGE] ?? {};
    for (let i = 0; i < fields.length; i += 2) response.setHeader(fields[i]!, fields[i + 1]!);
  }
  answerError(log, response, error);
}
