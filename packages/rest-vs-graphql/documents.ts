/**
 * The GraphQL documents of the client, each by the name of its screen, and the list of them that the server trusts.
 *
 * A document that is known by its hash need not be sent: the hash fits into a URL, so the question becomes a GET, which caches
 * understand [GraphQL over HTTP, appendix A: Persisted Documents]. And a server that answers no other document cannot be
 * asked a hostile one. In a real project the list is made when the client is built and handed to the server when it is
 * deployed, with the lists of all clients that are still in use: an old app on a phone asks for years.
 */
import { createHash } from 'node:crypto';

// #region documents
export const documents = {
  badge: `query Badge($id: ID!) { user(id: $id) { name postCount } }`,

  profile: `query Profile($id: ID!) {
  user(id: $id) { name posts(first: 10) { nodes { title commentCount } } }
}`,

  feed: `query Feed {
  posts(first: 10) {
    nodes { title author { name } comments(first: 3) { nodes { body author { name } } } }
  }
}`,
} as const;
// #endregion

export type ScreenName = keyof typeof documents;

/** What a document is asked for by: `sha256:` and 64 hexadecimal digits. A space more is another document. */
export function documentId(document: string): string {
  return `sha256:${createHash('sha256').update(document).digest('hex')}`;
}

/** The text of each document by its id. */
export const trustedDocuments: ReadonlyMap<string, string> = new Map(
  Object.values(documents).map((document) => [documentId(document), document]),
);
