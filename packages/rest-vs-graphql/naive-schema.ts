/**
 * The naive server's schema: a resolver for each field, which runs a query of its own. Each of them is right, and easy to
 * read. Together they are the N+1: a list of ten is one query, and then ten more for each field that needs one.
 */
import DataLoader from 'dataloader';
import { buildSchema } from 'graphql';
import { type Viewer, visibleEmail } from './viewer.ts';

export const naiveSchema = buildSchema(`
  type Query {
    user(id: ID!): User
    posts(first: Int): PostConnection!
  }
  type Mutation {
    createPost(authorId: ID!, title: String!, body: String!): Post!
  }
  type User { id: ID!  name: String!  email: String  bio: String!  postCount: Int!  posts(first: Int): PostConnection! }
  type Post { id: ID!  title: String!  body: String!  author: User!  commentCount: Int!  comments(first: Int): CommentConnection! }
  type Comment { id: ID!  body: String!  author: User! }
  type PostConnection { nodes: [Post!]! }
  type CommentConnection { nodes: [Comment!]! }
`);

export interface NaiveContext {
  viewer: Viewer;
  /** Runs a query, and counts it. */
  query: <Row extends object>(text: string, values?: unknown[]) => Promise<Row[]>;
  /** Loaders that live as long as the process; see `oneLoaderForAll`. */
  users: UserLoader | undefined;
}

interface UserRow {
  id: number;
  name: string;
  email: string;
  bio: string;
}

interface PostRow {
  id: number;
  author_id: number;
  title: string;
  body: string;
}

interface CommentRow {
  id: number;
  author_id: number;
  body: string;
}

type Page = { first?: number };

// #region n-plus-1
const user = ({ viewer, query }: Pick<NaiveContext, 'viewer' | 'query'>, row: UserRow) => ({
  ...row,
  email: visibleEmail(viewer, row),
  postCount: async () =>
    (
      await query<{ count: number }>('select count(*)::int from blog.posts where author_id = $1 and is_published', [
        row.id,
      ])
    )[0]?.count,
  posts: async ({ first }: Page, context: NaiveContext) => {
    const sql = 'select * from blog.posts where author_id = $1 and is_published order by id desc limit $2';
    return { nodes: (await context.query<PostRow>(sql, [row.id, first])).map(post) };
  },
});

const post = (row: PostRow) => ({
  ...row,
  author: (_: unknown, context: NaiveContext) => findUser(context, row.author_id),
  commentCount: async (_: unknown, { query }: NaiveContext) =>
    (await query<{ count: number }>('select count(*)::int from blog.comments where post_id = $1', [row.id]))[0]?.count,
  comments: async ({ first }: Page, { query }: NaiveContext) => {
    const sql = 'select * from blog.comments where post_id = $1 order by id desc limit $2';
    return { nodes: (await query<CommentRow>(sql, [row.id, first])).map(comment) };
  },
});

const comment = (row: CommentRow) => ({
  ...row,
  author: (_: unknown, context: NaiveContext) => findUser(context, row.author_id),
});

async function findUser(context: NaiveContext, id: number | string) {
  if (context.users) return context.users.load({ id: Number(id), context });
  const [row] = await context.query<UserRow>('select * from blog.users where id = $1', [id]);
  return row && user(context, row);
}
// #endregion

export const naiveRoot = {
  user: ({ id }: { id: string }, context: NaiveContext) => findUser(context, id),
  posts: async ({ first }: Page, { query }: NaiveContext) => {
    const sql = 'select * from blog.posts where is_published order by id desc limit $1';
    return { nodes: (await query<PostRow>(sql, [first])).map(post) };
  },
  createPost: async (input: { authorId: string; title: string; body: string }, { query }: NaiveContext) => {
    const sql = 'insert into blog.posts (author_id, title, body, is_published) values ($1, $2, $3, true) returning *';
    return (await query<PostRow>(sql, [input.authorId, input.title, input.body])).map(post)[0];
  },
};

type LoaderKey = { id: number; context: NaiveContext };
type UserLoader = DataLoader<LoaderKey, ReturnType<typeof user> | undefined, number>;

// #region leak
/**
 * What is often the first mend: one loader, made where the module begins. It is quick, and it remembers for ever: a user as the
 * first viewer was allowed to see them, e-mail address and all, for everybody who comes after.
 */
export function oneLoaderForAll(): UserLoader {
  const load = async (keys: readonly LoaderKey[]) => {
    const { context } = keys[0]!; // the viewer of whoever was first
    const rows = await context.query<UserRow>('select * from blog.users where id = any($1)', [
      keys.map(({ id }) => id),
    ]);
    return keys.map(({ id }) => {
      const row = rows.find((each) => each.id === id);
      return row && user(context, row);
    });
  };
  return new DataLoader(load, { cacheKeyFn: ({ id }) => id });
}
// #endregion
