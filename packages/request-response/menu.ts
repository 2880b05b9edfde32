/**
 * The menu, ready to be sent: read, encoded and hashed once per version, not once per request.
 */
import { createHash } from 'node:crypto';
import type { Pool } from 'pg';
import { type Dish, JSON_TYPE } from './protocol.ts';

/** One resource, encoded: its headers and its body. */
export interface Representation {
  readonly etag: string;
  readonly headers: Readonly<Record<string, string | number>>;
  readonly body: string;
}

/** The current version. It is the caller who says when to look for a newer one. */
export class Menu {
  #pool: Pool;
  #all: Representation | undefined;
  #dishes = new Map<string, Representation>();

  /** Reads the menu for the first time. */
  static async open(pool: Pool): Promise<Menu> {
    const menu = new Menu(pool);
    await menu.refresh();
    return menu;
  }

  private constructor(pool: Pool) {
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
