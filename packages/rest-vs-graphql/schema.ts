/**
 * What can be asked for, and what may be missing in the answer.
 *
 * `!` is a promise about failures, not only about values: where the field of a type that ends in `!` fails, its parent cannot
 * be given either, and so on upwards to the first that may be null [GraphQL §6.4.4]. The rule here: what takes a statement of
 * its own may fail alone, so it has no `!`, and a post is shown without the comments that could not be had. The one exception is
 * `Comment.author`: nobody would show a comment without it, and the whole list goes.
 */
import { buildSchema, type GraphQLFieldResolver, type GraphQLSchema, isObjectType } from 'graphql';
import { LIMITS } from './protocol.ts';

// #region types
export const typeDefinitions = /* GraphQL */ `
  type Query {
    "Whoever asks; null for nobody in particular."
    viewer: User
    user(id: ID!): User
    post(id: ID!): Post
    "Newest first, of one author or of all."
    posts(author: ID, first: Int = ${LIMITS.pageSize}, after: String): PostConnection
    comments(post: ID!, first: Int = ${LIMITS.pageSize}, after: String): CommentConnection
  }

  type User {
    id: ID!
    name: String!
    bio: String!
    "Null for everybody but the user."
    email: String
    createdAt: String!
    postCount: Int!
    "The first page; those behind it are at Query.posts."
    posts(first: Int = ${LIMITS.pageSize}): PostConnection
  }

  type Post {
    id: ID!
    title: String!
    body: String!
    isPublished: Boolean!
    "What a change must have seen (updatePost)."
    version: Int!
    createdAt: String!
    commentCount: Int!
    author: User
    "The first page; those behind it are at Query.comments."
    comments(first: Int = ${LIMITS.pageSize}): CommentConnection
  }

  type Comment {
    id: ID!
    body: String!
    createdAt: String!
    author: User!
  }

  type PostConnection { nodes: [Post!]!, pageInfo: PageInfo! }
  type CommentConnection { nodes: [Comment!]!, pageInfo: PageInfo! }
  "To go on: the same question with \`after: endCursor\`."
  type PageInfo { endCursor: String, hasNextPage: Boolean! }

  type Mutation {
    createPost(input: CreatePostInput!): PostPayload!
    updatePost(input: UpdatePostInput!): PostPayload!
    createComment(input: CreateCommentInput!): CommentPayload!
  }

  input CreatePostInput { title: String!, body: String!, isPublished: Boolean = true }
  "What is absent stays as it is."
  input UpdatePostInput { id: ID!, expectedVersion: Int!, title: String, body: String, isPublished: Boolean }
  input CreateCommentInput { post: ID!, body: String! }

  "Either the post, or why not."
  type PostPayload { post: Post, error: MutationError }
  type CommentPayload { comment: Comment, error: MutationError }

  "What a caller can do something about. Everything else is in \`errors\`, beside \`data\`."
  interface MutationError { message: String! }
  type InvalidInput implements MutationError { message: String!, fields: [InvalidField!]! }
  type InvalidField { field: String!, expected: String! }
  "Somebody else was first: look again, and decide again."
  type Conflict implements MutationError { message: String! }
  type NotFound implements MutationError { message: String! }
  type NotAllowed implements MutationError { message: String! }

  type Subscription {
    "Over Server-Sent Events; the id of each event is the cursor to go on from."
    commentAdded(post: ID!): Comment!
  }
`;
// #endregion

// biome-ignore lint/suspicious/noExplicitAny: graphql's own type for resolvers of any source and arguments
type Resolver<Context> = GraphQLFieldResolver<any, Context>;

/** By type and field. A field without one is read from the object as it is. */
export type Resolvers<Context> = Readonly<Record<string, Readonly<Record<string, Resolver<Context>>>>>;

/**
 * The schema, with the resolvers in their places.
 * @param around is put around each resolver, to do what is to be done for all of them.
 * @throws {Error} for a resolver of a field that is not in the schema: a misspelt one would never be called.
 */
export function buildBlogSchema<Context>(
  resolvers: Resolvers<Context>,
  around: (resolver: Resolver<Context>) => Resolver<Context> = (resolver) => resolver,
): GraphQLSchema {
  const schema = buildSchema(typeDefinitions);
  for (const [typeName, fields] of Object.entries(resolvers)) {
    const type = schema.getType(typeName);
    for (const [fieldName, resolver] of Object.entries(fields)) {
      const field = isObjectType(type) ? type.getFields()[fieldName] : undefined;
      if (!field) throw new Error(`a resolver for ${typeName}.${fieldName}, which is not in the schema`);
      field.resolve = around(resolver);
    }
  }
  return schema;
}
