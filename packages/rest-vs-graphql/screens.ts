/**
 * Three screens of an app, and how each is put together: over REST from several answers, over GraphQL from one. Whichever
 * way it comes, the screen is the same.
 *
 *   badge      a name and the number of posts         REST: one call, and far more than was wanted comes with it
 *   profile    a user and their 10 latest posts       REST: two calls at once
 *   feed       10 posts, each with its author and     REST: one call, then one for each post and author, then one for
 *              3 comments, each with its author             each author of a comment: three waits, one after the other
 */
import { CallError } from './call-error.ts';
import type { ScreenName } from './documents.ts';
import { asObject, type Json, nodesAt, numberAt, objectAt, textAt } from './read-json.ts';

export interface Badge {
  name: string;
  postCount: number;
}

export interface Profile {
  name: string;
  posts: { title: string; commentCount: number }[];
}

export interface Feed {
  posts: { title: string; author: string; comments: { body: string; author: string }[] }[];
}

export interface Screens {
  badge: Badge;
  profile: Profile;
  feed: Feed;
}

/** The REST server as the screens see it: `fields` are what they will use, `limit` rows at most. */
export interface Rest {
  user(id: number, fields: readonly string[]): Promise<Json>;
  posts(limit: number, fields: readonly string[]): Promise<readonly Json[]>;
  postsOf(userId: number, limit: number, fields: readonly string[]): Promise<readonly Json[]>;
  commentsOn(postId: number, limit: number, fields: readonly string[]): Promise<readonly Json[]>;
}

// #region rest
export const restScreens: { [Name in ScreenName]: (rest: Rest, userId: number) => Promise<Screens[Name]> } = {
  async badge(rest, userId) {
    const user = await rest.user(userId, ['name', 'postCount']);
    return { name: textAt(user, 'name'), postCount: numberAt(user, 'postCount') };
  },

  async profile(rest, userId) {
    const [user, posts] = await Promise.all([
      rest.user(userId, ['name']),
      rest.postsOf(userId, 10, ['title', 'commentCount']),
    ]);
    return { name: textAt(user, 'name'), posts: posts.map(titleAndCount) };
  },

  async feed(rest) {
    const names = new Map<number, Promise<string>>(); // nobody is asked for twice
    const nameOf = (userId: number): Promise<string> => {
      const name = names.get(userId) ?? rest.user(userId, ['name']).then((user) => textAt(user, 'name'));
      names.set(userId, name);
      return name;
    };
    const posts = await rest.posts(10, ['id', 'authorId', 'title']);
    const below = await Promise.all(
      posts.map((post) =>
        Promise.all([
          rest.commentsOn(numberAt(post, 'id'), 3, ['authorId', 'body']),
          nameOf(numberAt(post, 'authorId')),
        ]),
      ),
    );
    // Only now is it known who has commented.
    const comments = await Promise.all(
      below.map(([comments]) =>
        Promise.all(
          comments.map(async (comment) => ({
            body: textAt(comment, 'body'),
            author: await nameOf(numberAt(comment, 'authorId')),
          })),
        ),
      ),
    );
    return {
      posts: posts.map((post, i) => ({ title: textAt(post, 'title'), author: below[i]![1], comments: comments[i]! })),
    };
  },
};
// #endregion

// #region graphql
/** From the `data` of an answer, in which all of it stands already. */
export const graphqlScreens: { [Name in ScreenName]: (data: Json) => Screens[Name] } = {
  badge(data) {
    const user = userOf(data);
    return { name: textAt(user, 'name'), postCount: numberAt(user, 'postCount') };
  },

  profile(data) {
    const user = userOf(data);
    return { name: textAt(user, 'name'), posts: nodesAt(user, 'posts').map(titleAndCount) };
  },

  feed: (data) => ({
    posts: nodesAt(data, 'posts').map((post) => ({
      title: textAt(post, 'title'),
      author: nameOfAuthor(post),
      comments: nodesAt(post, 'comments').map((comment) => ({
        body: textAt(comment, 'body'),
        author: nameOfAuthor(comment),
      })),
    })),
  }),
};
// #endregion

/** A missing user is `null` and no error: over GraphQL there is no 404 for a part of an answer. */
function userOf(data: Json): Json {
  if (data.user === null) throw new CallError('not-found', 'there is no such user');
  return objectAt(data, 'user');
}

const titleAndCount = (post: Json) => ({ title: textAt(post, 'title'), commentCount: numberAt(post, 'commentCount') });
const nameOfAuthor = (of: Json) => textAt(asObject(of.author, 'author'), 'name');
