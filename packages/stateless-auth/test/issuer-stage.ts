/** What the tests of the issuer share: one with a database of its own, somebody who logs in, and a look at its tables. */
import { createDatabase } from '@patterns/services/database';
import pg from 'pg';
import { inject } from 'vitest';
import { type IssuerOptions, startIssuer } from '../issuer.ts';
import type { Tokens } from '../protocol.ts';
import { quiet } from './forge.ts';

export const JOHN = { name: 'john', password: 'correct horse battery staple' };

export async function openIssuer(options: Partial<IssuerOptions> = {}) {
  await using stack = new AsyncDisposableStack();
  const { url: databaseUrl } = stack.use(await createDatabase(inject('databaseUrl'), 'issuer'));
  const admin = new pg.Pool({ connectionString: databaseUrl, application_name: 'test', max: 2 });
  stack.defer(() => admin.end());
  const issuer = stack.use(await startIssuer({ databaseUrl, users: [JOHN], log: quiet, ...options }));

  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of all kinds
  const answerOf = async (response: Response): Promise<{ status: number; headers: Headers; body: any }> => {
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text && JSON.parse(text) };
  };
  const login = async (body: unknown = JOHN) =>
    answerOf(
      await fetch(`${issuer.url}/login`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(body),
      }),
    );
  const form = async (path: string, fields: Record<string, string>) =>
    answerOf(await fetch(issuer.url + path, { method: 'POST', body: new URLSearchParams(fields) }));
  const resources = stack.move();
  return {
    ...issuer,
    databaseUrl,
    query: async <T extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<T[]> =>
      (await admin.query<T>(text, values)).rows,
    login,
    form,
    get: async (path: string) => answerOf(await fetch(issuer.url + path)),
    /** Exchanges a refresh token. */
    exchange: (token: string) => form('/token', { grant_type: 'refresh_token', refresh_token: token }),
    revoked: async (): Promise<string[]> => (await answerOf(await fetch(`${issuer.url}/revoked`))).body.revoked,
    /** Logs in, and resolves to the tokens. */
    enter: async (): Promise<Tokens> => (await login()).body,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

export type TestIssuer = Awaited<ReturnType<typeof openIssuer>>;

/** What a token says, unproven. */
export function said(token: string): { header: Record<string, string>; claims: Record<string, string | number> } {
  const [header, claims] = token.split('.', 2).map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()));
  return { header, claims };
}
