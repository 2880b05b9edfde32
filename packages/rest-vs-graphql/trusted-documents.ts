/**
 * Documents that the server knows beforehand, by their hash [GraphQL over HTTP, appendix A: Persisted Documents].
 *
 * Clients of one's own have a fixed set of questions. Sent as `documentId=sha256:...` a question is short enough for a URL, and
 * the answer to a GET is something that caches understand. With `only`, no other document is executed at all: whoever wants to
 * ask a hostile one must get it into our own client first. Not to be confused with "automatic persisted queries", where whoever
 * asks also stores: those save bytes, and protect nothing.
 */
import type { Request, Response } from 'express';
import { type Request as GraphqlRequest, parseRequestParams } from 'graphql-http';
import { etagOfText, isCurrent } from './conditional.ts';
import { refusal } from './limits.ts';
import { hashOf } from './operation.ts';

/** The text of each document by its id, `sha256:` and 64 hexadecimal digits in lower case. */
export type TrustedDocuments = ReadonlyMap<string, string>;

/** @throws {Error} for an id that is not its document's: the client would be answered another question than it asked. */
export function checkIds(documents: TrustedDocuments): void {
  for (const [id, text] of documents) {
    if (id !== hashOf(text)) throw new Error(`the trusted document ${id} has the hash ${hashOf(text)}`);
  }
}

// #region resolve
/**
 * The request with the document in the place of its id.
 * @throws {GraphQLError} for an id that is not known, or, with `only`, a request that brings a document.
 */
function withDocument<Raw, Context>(
  request: GraphqlRequest<Raw, Context>,
  documents: TrustedDocuments,
  only: boolean,
): GraphqlRequest<Raw, Context> {
  const [path, search = ''] = request.url.split('?', 2);
  const parameters = new URLSearchParams(search);
  const body = request.method === 'POST' ? readObject(request.body) : undefined;
  const id = request.method === 'POST' ? body?.documentId : (parameters.get('documentId') ?? undefined);
  if (id === undefined) {
    if (only) throw refusal('DOCUMENT_REQUIRED', 'only trusted documents: send documentId');
    return request;
  }
  const text = typeof id === 'string' ? documents.get(id) : undefined;
  if (text === undefined) throw refusal('DOCUMENT_NOT_FOUND', 'no trusted document has this documentId');
  if (body) return { ...request, body: { ...body, query: text } };
  parameters.set('query', text);
  return { ...request, url: `${path}?${parameters.toString()}` };
}
// #endregion

/** The parameters of a request, or how graphql-http answers when it is none. @throws {Error} when they are not as they must be. */
export async function paramsOf<Raw, Context>(
  request: GraphqlRequest<Raw, Context>,
  documents: TrustedDocuments,
  only: boolean,
) {
  return parseRequestParams(withDocument(request, documents, only));
}

/** What is no JSON object is graphql-http's to refuse. */
function readObject(body: unknown): Record<string, unknown> | undefined {
  try {
    const value: unknown = typeof body === 'string' ? JSON.parse(body) : body;
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

// #region cache
/**
 * Sends an answer to a trusted document by GET, which may be kept: for everybody when nobody in particular asked, else only by
 * whoever asked [RFC 9111 §3.5]. It is asked for again each time, and mostly a 304.
 */
export function sendCacheable(request: Request, response: Response, text: string): void {
  const whose = request.headers.authorization === undefined ? 'public' : 'private';
  // One URL, two media types: a representation each, with a tag of its own [RFC 9110 §8.8.3].
  const etag = etagOfText(`${response.get('Content-Type')}\n${text}`);
  response.set({ ETag: etag, 'Cache-Control': `${whose}, no-cache`, Vary: 'Accept, Authorization' });
  if (isCurrent(request.headers['if-none-match'], etag)) response.status(304).end();
  else response.end(text);
}
// #endregion
