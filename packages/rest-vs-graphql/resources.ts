/**
 * What stands behind each path of the REST server: read the request, ask the blog, choose the fields. Nothing is asked of the
 * database before all that the client has sent has been understood.
 */
import type { Answer, Handler } from './answer.ts';
import { BlogError } from './blog-error.ts';
import { type Comment, commentsOfPosts, createComment, findComments } from './comments.ts';
import { etagOfVersion, readIfMatch } from './conditional.ts';
import { readId, readNewComment, readNewPost, readPostPatch } from './input.ts';
import { answerPage, pick, readFields } from './pages.ts';
import { createPost, findPosts, listPosts, type Post, postsOfUsers, updatePost } from './posts.ts';
import { COMMENT_FIELDS, LISTED_POST_FIELDS, POST_FIELDS, POSTS, USER_FIELDS } from './protocol.ts';
import { findUsers } from './users.ts';
import { visibleEmail } from './viewer.ts';

export const getUser: Handler = async (context, request) => {
  const fields = readFields(request, USER_FIELDS);
  const [user] = await findUsers(context, [readId(request.params.id!)]);
  if (!user) throw new BlogError('not-found', 'there is no such user');
  return { body: pick({ ...user, email: visibleEmail(context.viewer, user) }, fields) };
};

// #region lists
export const getPosts: Handler = (context, request) =>
  answerPage(request, 'post', LISTED_POST_FIELDS, (page) => listPosts(context, page));

export const getPostsOfUser: Handler = (context, request) => {
  const id = readId(request.params.id!);
  return answerPage(request, 'post', LISTED_POST_FIELDS, async (page) => {
    const posts = await postsOfUsers(context, [id], page);
    // Only now, so that whoever has posts does not pay for it: none there, or nobody there?
    if (posts.length === 0 && (await findUsers(context, [id])).length === 0) {
      throw new BlogError('not-found', 'there is no such user');
    }
    return posts;
  });
};

export const getCommentsOfPost: Handler = (context, request) => {
  const id = readId(request.params.id!);
  return answerPage(request, 'comment', COMMENT_FIELDS, async (page) => {
    const comments = await commentsOfPosts(context, [id], page);
    if (comments.length === 0 && (await findPosts(context, [id])).length === 0) {
      throw new BlogError('not-found', 'there is no such post');
    }
    return comments;
  });
};
// #endregion

// #region post
export const getPost: Handler = async (context, request) => {
  const fields = readFields(request, POST_FIELDS);
  const [post] = await findPosts(context, [readId(request.params.id!)]);
  if (!post) throw new BlogError('not-found', 'there is no such post');
  return representPost(post, fields);
};

export const postPost: Handler = async (context, request) => {
  const post = await createPost(context, readNewPost(request.body));
  const { body, headers } = representPost(post);
  return { status: 201, headers: { ...headers, Location: `${POSTS}/${post.id}` }, body };
};

export const patchPost: Handler = async (context, request) => {
  const id = readId(request.params.id!);
  const seen = readIfMatch(request.get('If-Match'));
  return representPost(await updatePost(context, id, readPostPatch(request.body), seen));
};

/** With the ETag, so that a client can go on changing what it has just made or changed [RFC 9110 §8.8.3]. */
function representPost(post: Post, fields: readonly (typeof POST_FIELDS)[number][] = POST_FIELDS): Answer {
  return { headers: { ETag: etagOfVersion(post.version) }, body: pick(post, fields) };
}
// #endregion

export const getComment: Handler = async (context, request) => {
  const fields = readFields(request, COMMENT_FIELDS);
  const postId = readId(request.params.id!);
  const [comment] = await findComments(context, [readId(request.params.comment!, 'comment')]);
  if (comment?.postId !== postId) throw new BlogError('not-found', 'there is no such comment');
  return { body: pick(comment, fields) };
};

export const postComment: Handler = async (context, request) => {
  const comment: Comment = await createComment(context, readId(request.params.id!), readNewComment(request.body));
  await context.announce(comment);
  const location = `${POSTS}/${comment.postId}/comments/${comment.id}`;
  return { status: 201, headers: { Location: location }, body: comment };
};
