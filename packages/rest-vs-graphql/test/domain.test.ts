/** The blog itself, which both servers ask: what one statement can do, who may see what, and what the database is never asked. */
import { createDatabase } from '@patterns/services/database';
import { requirePostgres } from '@patterns/services/testing';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { commentsOfPosts, createComment, findComments } from '../comments.ts';
import { type Database, openDatabase } from '../database.ts';
import { encodeCursor, readCursor, readId, readNewPost, readPageSize, readPostPatch } from '../input.ts';
import { createPost, findPosts, listPosts, postsOfUsers, updatePost } from '../posts.ts';
import { createBlog } from '../tables.ts';
import { findUsers } from '../users.ts';
import { type Context, readViewer, type Viewer, visibleEmail } from '../viewer.ts';
import { openBlog, TOKENS } from './blog.ts';

const AUTHOR: Viewer = { userId: 1 };
const OTHER: Viewer = { userId: 2 };

requirePostgres()('the blog', () => {
  let blog: Awaited<ReturnType<typeof openBlog>>;
  let database: Database;
  beforeAll(async () => {
    blog = await openBlog();
    database = openDatabase({ url: blog.databaseUrl, statementMs: 15_000 });
  });
  afterAll(async () => {
    await database[Symbol.asyncDispose]();
    await blog[Symbol.asyncDispose]();
  });
  const as = (viewer: Viewer): Context => ({ db: database.forRequest(), viewer });

  test('has ten thousand rows, the same in every database, also when two create it at once, and again', async () => {
    const sums = `select (select count(*)::int from blog.users) users, (select count(*)::int from blog.posts) posts,
      (select count(*)::int from blog.comments) comments,
      (select md5(string_agg(p::text, '' order by id)) from blog.posts p) digest`;
    const [before] = await blog.query(sums);
    await using empty = await createDatabase(inject('databaseUrl'), 'blog');
    await Promise.all([createBlog(empty.url), createBlog(empty.url)]);
    await createBlog(empty.url);
    await using other = openDatabase({ url: empty.url });
    expect(await other.forRequest().query(sums)).toEqual([before]);
    expect(before).toMatchObject({ users: 500, posts: 2_000, comments: 7_500 });
  });

  test('answers for many keys with one statement, and for each key what it answers for that one alone', async () => {
    const ids = [1, 2, 3, 4, 5, 499, 500, 9_999];
    const context = as(undefined);
    const users = await findUsers(context, ids);
    const posts = await postsOfUsers(context, ids, { limit: 3 });
    const comments = await commentsOfPosts(context, ids, { limit: 2 });
    const found = await findPosts(context, ids);
    const said = await findComments(context, ids);
    expect(context.db.statements).toBe(5);
    expect([users, found, said].map((rows) => rows.length)).toEqual([7, 6, 6]); // post 500 is a draft, and comment 1 is on one
    for (const id of ids) {
      const alone = as(undefined);
      expect(posts.filter(({ authorId }) => authorId === id)).toEqual(await postsOfUsers(alone, [id], { limit: 3 }));
      expect(comments.filter(({ postId }) => postId === id)).toEqual(await commentsOfPosts(alone, [id], { limit: 2 }));
    }
  });

  test('counts what everybody may see', async () => {
    const [user] = await findUsers(as(undefined), [1]);
    const everything = await postsOfUsers(as(undefined), [1], { limit: 1_000 });
    expect(user!.postCount).toBe(everything.length);
    const [post] = await findPosts(as(undefined), [1]);
    expect(post!.commentCount).toBe((await commentsOfPosts(as(undefined), [1], { limit: 1_000 })).length);
  });

  test('shows a draft, its comments and a way to comment it to its author alone, whichever way it is asked for', async () => {
    const draft = await createPost(as(AUTHOR), { title: 'Unfinished', body: '...', isPublished: false });
    const comment = await createComment(as(AUTHOR), draft.id, { body: 'to do' });
    const seenBy = async (viewer: Viewer) => {
      const context = as(viewer);
      const rows = await Promise.all([
        findPosts(context, [draft.id]),
        listPosts(context, { limit: 1 }),
        postsOfUsers(context, [1], { limit: 1 }),
        commentsOfPosts(context, [draft.id], { limit: 1 }),
        findComments(context, [comment.id]),
      ]);
      return rows.map(([row]) => row?.id === draft.id || row?.id === comment.id);
    };
    expect(await seenBy(AUTHOR)).toEqual([true, true, true, true, true]);
    expect(await seenBy(OTHER)).toEqual([false, false, false, false, false]);
    expect(await seenBy(undefined)).toEqual([false, false, false, false, false]);
    await expect(createComment(as(OTHER), draft.id, { body: 'mine' })).rejects.toMatchObject({ code: 'not-found' });
    await expect(updatePost(as(OTHER), draft.id, {}, [1])).rejects.toMatchObject({ code: 'not-found' });
  });

  test('lets only the author change a post, and only a version that they have seen', async () => {
    const { id } = await createPost(as(AUTHOR), { title: 'A', body: 'B', isPublished: true });
    await expect(updatePost(as(undefined), id, { title: 'C' }, [1])).rejects.toMatchObject({ code: 'unauthenticated' });
    await expect(updatePost(as(OTHER), id, { title: 'C' }, [1])).rejects.toMatchObject({ code: 'forbidden' });
    await expect(updatePost(as(AUTHOR), id, { title: 'C' }, [2])).rejects.toMatchObject({ code: 'conflict' });
    await expect(updatePost(as(AUTHOR), id, { title: 'C' }, [])).rejects.toMatchObject({ code: 'conflict' });
    const changed = await updatePost(as(AUTHOR), id, { title: 'C', isPublished: false }, [7, 1]);
    expect(changed).toMatchObject({ id, title: 'C', body: 'B', isPublished: false, version: 2 });
    await expect(updatePost(as(AUTHOR), 9_999_999, {}, [1])).rejects.toMatchObject({ code: 'not-found' });
  });

  test('writes nothing for nobody', async () => {
    const context = as(undefined);
    const writes = [
      createPost(context, { title: 'A', body: 'B', isPublished: true }),
      createComment(context, 1, { body: 'C' }),
    ];
    for (const write of writes) await expect(write).rejects.toMatchObject({ code: 'unauthenticated' });
    expect(context.db.statements).toBe(0);
  });
});

describe('what comes from outside', () => {
  test('an id is a whole number that the database can hold', () => {
    expect([readId('1'), readId('2147483647')]).toEqual([1, 2_147_483_647]);
    for (const text of ['', '0', '-1', '1.5', '1e3', '0x1', '01', ' 1', '2147483648', 'constructor', '1\0']) {
      expect(() => readId(text, 'user')).toThrow(
        expect.objectContaining({ code: 'invalid', errors: [expect.objectContaining({ field: 'user' })] }),
      );
    }
  });

  test('a cursor is one that a list of its kind has given, to the letter', () => {
    const cursor = encodeCursor('post', 42);
    expect(readCursor('post', cursor)).toBe(42);
    for (const text of [
      '',
      '42',
      `${cursor}=`,
      `${cursor}!`,
      encodeCursor('comment', 42),
      encodeCursor('post', 0),
      encodeCursor('post', 1e10),
    ]) {
      expect(() => readCursor('post', text)).toThrow(
        expect.objectContaining({ code: 'invalid', errors: [expect.objectContaining({ field: 'after' })] }),
      );
    }
  });

  test('a page has ten rows unless it is said otherwise, and at most a hundred', () => {
    expect([readPageSize(undefined), readPageSize('1'), readPageSize('100')]).toEqual([10, 1, 100]);
    for (const text of ['', '0', '101', '-1', '1.5', 'all'])
      expect(() => readPageSize(text)).toThrow('cannot be understood');
  });

  test('all that is wrong with an object is said at once, with where it is', () => {
    const fieldsOf = (read: () => unknown) => {
      try {
        return read();
      } catch (error) {
        return (error as { errors: { field: string }[] }).errors.map(({ field }) => field);
      }
    };
    expect(fieldsOf(() => readNewPost({ title: ' ', isPublished: 'yes', 'a/b~c': 1 }))).toEqual([
      '/a~1b~0c',
      '/title',
      '/body',
      '/isPublished',
    ]);
    expect(fieldsOf(() => readNewPost({ title: 'x'.repeat(201), body: 'a\0b' }))).toEqual(['/title', '/body']);
    expect(fieldsOf(() => readNewPost([]))).toEqual(['', '/title', '/body']);
    expect(fieldsOf(() => readPostPatch({ title: null, version: 9 }))).toEqual(['/version', '/title']); // null removes
    expect(readPostPatch({})).toEqual({});
    expect(readNewPost({ title: 'A', body: 'B' })).toEqual({ title: 'A', body: 'B', isPublished: true });
  });

  test('a token that nobody has been given is refused, and taken for nobody only when there is none', () => {
    expect([readViewer(undefined, TOKENS), readViewer('bearer one', TOKENS)]).toEqual([undefined, { userId: 1 }]);
    for (const field of ['', 'Bearer', 'Bearer three', 'Basic one', 'one', 'Bearer one two', 'Bearer constructor'])
      expect(() => readViewer(field, TOKENS)).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
  });

  test("somebody's address is theirs alone", () => {
    const user = { id: 1, email: 'user1@example.com' };
    expect([AUTHOR, OTHER, undefined].map((viewer) => visibleEmail(viewer, user))).toEqual([
      'user1@example.com',
      null,
      null,
    ]);
  });
});
