/**
 * The GraphQL server as every introduction shows it, runnable beside the sound one, over the same tables. It answers every
 * question right, and that is the trouble with it:
 *  - each field asks the database for itself: a list of ten posts with their comments is fifty statements (N+1);
 *  - a question may be as deep and as wide as it likes, and an array holds as many as fit: 300 bytes cost thousands of statements;
 *  - a mutation is carried out over GET, that is by a link or an image, and nothing keeps another site from sending it;
 *  - errors are shown as they are, with the SQL in them;
 *  - everybody may read the schema, and misspelt fields are corrected;
 *  - nobody stops: no deadline, and a client that has left is worked for to the end;
 *  - each request is parsed and validated anew, and no answer can be cached.
 * With `sharedLoader` it has the usual quick mend for the first of these, which shows one viewer what another may see.
 */
import { createServer } from 'node:http';
import { envPort } from '@patterns/kit/env';
import { type Listening, listen } from '@patterns/kit/listen';
import { main } from '@patterns/kit/main';
import { findPostgres } from '@patterns/services/postgres';
import express from 'express';
import { graphql } from 'graphql';
import pg from 'pg';
import { type NaiveContext, naiveRoot, naiveSchema, oneLoaderForAll } from './naive-schema.ts';
import { GRAPHQL_PATH, SQL_STATEMENTS_HEADER } from './protocol.ts';
import { createBlog } from './tables.ts';
import { DEMO_TOKENS, readViewer, type Tokens } from './viewer.ts';

export interface NaiveOptions {
  /** Its tables are there. */
  databaseUrl: string;
  port?: number;
  tokens?: Tokens;
  sharedLoader?: boolean;
}

export async function startNaiveServer(options: NaiveOptions): Promise<Pick<Listening, 'url'> & AsyncDisposable> {
  const { databaseUrl, port, tokens = new Map(), sharedLoader = false } = options;
  const pool = new pg.Pool({ connectionString: databaseUrl });
  // `end` does not wait for the sockets: a database that is dropped right after it ends them once more.
  pool.on('connect', (client) => client.on('error', () => {}));
  const users = sharedLoader ? oneLoaderForAll() : undefined;

  const app = express();
  app.use(GRAPHQL_PATH, express.json(), async (req, res) => {
    let statements = 0; // for the comparison: the textbook does not count
    const query: NaiveContext['query'] = async (text, values) => {
      statements++;
      try {
        return (await pool.query(text, values)).rows;
      } catch (error) {
        throw new Error(`${(error as Error).message} in: ${text}`); // as the messages of many an ORM
      }
    };
    const contextValue: NaiveContext = { query, users, viewer: readViewer(req.headers.authorization, tokens) };
    const run = ({ query: source, variables }: Question) =>
      graphql({
        schema: naiveSchema,
        source,
        rootValue: naiveRoot,
        contextValue,
        variableValues: typeof variables === 'string' ? JSON.parse(variables) : variables,
      });
    const question = { ...req.query, ...req.body };
    const answer = Array.isArray(req.body) ? await Promise.all(req.body.map(run)) : await run(question);
    res.set(SQL_STATEMENTS_HEADER, `${statements}`).json(answer);
  });

  const listening = await listen(createServer(app), { port });
  return {
    url: listening.url,
    async [Symbol.asyncDispose]() {
      await listening.close();
      await pool.end();
    },
  };
}

type Question = { query: string; variables?: string | Record<string, unknown> };

if (import.meta.main) {
  await main(async (stack, signal) => {
    const postgres = stack.use(await findPostgres({ progress: console.log, signal }));
    await createBlog(postgres.url);
    const sharedLoader = process.env.SHARED_LOADER === '1';
    const options = { databaseUrl: postgres.url, port: envPort(), tokens: DEMO_TOKENS, sharedLoader };
    const server = stack.use(await startNaiveServer(options));
    console.log(`listening on ${server.url}`);
    const query = '{ posts(first: 10) { nodes { title author { name } } } }';
    console.log(`in another terminal: curl -G ${server.url}${GRAPHQL_PATH} --data-urlencode 'query=${query}'`);
  });
}
