/**
 * The town's databases: one for each service, on one server, where nobody looks into another one's.
 */
import { createDatabase } from '@patterns/services/database';
import { DATABASES } from './town-plan.ts';

/** Makes them in parallel; disposed, it drops them so. @param serverUrl any database there, of a user who may create databases */
export async function createDatabases(serverUrl: string) {
  const databases = await Promise.all(DATABASES.map((name) => createDatabase(serverUrl, name)));
  return {
    urls: Object.fromEntries(databases.map(({ url }, i) => [DATABASES[i]!, url])),
    async [Symbol.asyncDispose]() {
      await Promise.all(databases.map((database) => database[Symbol.asyncDispose]()));
    },
  };
}
