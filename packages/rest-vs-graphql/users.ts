/** Users. `postCount` counts what everybody may see. */
import type { Context } from './viewer.ts';

export interface User {
  readonly id: number;
  readonly name: string;
  /** Not for everybody: `visibleEmail` (viewer.ts) says for whom. */
  readonly email: string;
  readonly bio: string;
  readonly createdAt: Date;
  readonly postCount: number;
}

/** Those of `ids` that there are, in no order. One statement, however many. */
export function findUsers({ db }: Pick<Context, 'db'>, ids: readonly number[]): Promise<User[]> {
  return db.query<User>(
    `select id, name, email, bio, created_at as "createdAt",
       (select count(*)::int from blog.posts where author_id = users.id and is_published) as "postCount"
     from blog.users where id = any($1)`,
    [ids],
  );
}
