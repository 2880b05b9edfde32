/**
 * `pnpm dev:rest-vs-graphql`: three screens of one app. By the textbook's GraphQL, which asks its database fifty times for one of
 * them, and thousands of times for a stranger's 188 bytes; then by REST and by a GraphQL server that counts before it works. The
 * closing table is the answer to whether one of the two is always better.
 */
import { runDemo } from '@patterns/kit/demo';
import { runNaive } from './demo-naive.ts';
import { runSound } from './demo-sound.ts';

if (import.meta.main) {
  await runDemo({
    actors: ['client', 'REST', 'GraphQL', 'PostgreSQL'],
    naive: { about: 'the GraphQL of every introduction: a resolver for each field, and no limits', run: runNaive },
    sound: { about: 'the same data by REST, and by a GraphQL server that counts before it works', run: runSound },
  });
}
