/**
 * A transaction: from BEGIN to COMMIT on one client. On `pool.query` each statement would go to whichever client is free,
 * and BEGIN, the changes and COMMIT would land in different sessions.
 *
 * Nothing but statements belongs inside. A call to another service would hold a client and its locks for as long as that
 * service likes, and cannot be rolled back.
 */
import type { PoolClient } from 'pg';
import type { Database } from './database.ts';

// #region in-transaction
/**
 * Runs `work` in a transaction: committed when it resolves, rolled back when it rejects.
 * @throws what `work` threw; `PoolError` when there is no client to be had.
 */
export function inTransaction<T>(database: Database, work: (client: PoolClient) => Promise<T>): Promise<T> {
  return database.withClient(async (client) => {
    await client.query('begin');
    try {
      const result = await work(client);
      const { command } = await client.query('commit');
      // In a transaction in which a statement has failed, COMMIT is answered by ROLLBACK, and not with an error.
      if (command !== 'COMMIT') throw new Error('rolled back: a statement had failed, and its error was swallowed');
      return result;
    } catch (error) {
      // When this fails too, the client is still in its transaction: `withClient` sees that, and destroys it.
      await client.query('rollback').catch(() => {});
      throw error;
    }
  });
}
// #endregion
