/**
 * The menu, ready to be sent: read, encoded and hashed once per version, not once per request.
 */
import { createHash } from 'node:crypto';
import type { QueryResult, QueryResultRow } from 'pg';
import { type Dish, JSON_TYPE } from './protocol.ts';

/** The dishes, for a database that has none yet. */
export const DISHES_TABLE = `
  create table if not exists restaurant.dishes (
    id text primary key,
    name text not null,
    price int not null
  );
  insert into restaurant.dishes values
    ('pizza', 'Pizza', 1000), ('burger', 'Burger', 800), ('lasagne', 'Lasagne', 1150), ('risotto', 'Risotto', 1250),
    ('ramen', 'Ramen', 1300), ('curry', 'Green curry', 1190), ('falafel', 'Falafel', 750), ('salad', 'Garden salad', 690),
    ('soup', 'Soup of the day', 550), ('fries', 'Fries', 420), ('tiramisu', 'Tiramisù', 620), ('espresso', 'Espresso', 260)
    on conflict do nothing;`;

/** One resource, encoded: its headers and its body. */
export interface Representation {
  readonly etag: string;
  readonly headers: Readonly<Record<string, string | number>>;
  readonly body: string;
}

/** A pool, or what stands for one. */
export interface Database {
  query<Row extends QueryResultRow>(text: string, values?: unknown[]): Promise<QueryResult<Row>>;
}

/** The current version. It is the caller who says when to look for a newer one. */
export class Menu {
  #pool: Database;
  #all: Representation | undefined;
  #dishes = new Map<string, Representation>();

  /** Reads the menu for the first time. */
  static async open(pool: Database): Promise<Menu> {
    const menu = new Menu(pool);
    await menu.refresh();
    return menu;
  }

  private constructor(pool: Database) {
    this.#pool = pool;
  }

  get all(): Representation {
    return this.#all!;
  }

  dish(id: string): Representation | undefined {
    return this.#dishes.get(id);
  }

  /** Looks whether the menu has changed. Should that fail, what we have stays. */
  async refresh(): Promise<void> {
    const { rows } = await this.#pool.query<Dish>('select id, name, price from restaurant.dishes order by name');
    const all = represent({ items: rows });
    if (all.etag === this.#all?.etag) return;
    this.#all = all;
    this.#dishes = new Map(rows.map((dish) => [dish.id, represent(dish)]));
  }
}

/** Encodes a resource. Its validator is a hash of its bytes: strong, and the same on every server that has this version. */
function represent(resource: unknown): Representation {
  const body = JSON.stringify(resource); // as a string: Node sends it with the head in one write, a Buffer in two pieces
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  return {
    etag,
    // `no-cache`: keep it, but ask before each use [RFC 9111 §5.2.2.4]. The asking costs a 304 without a body.
    headers: {
      'Content-Type': JSON_TYPE,
      'Content-Length': Buffer.byteLength(body),
      ETag: etag,
      'Cache-Control': 'no-cache',
    },
    body,
  };
}
