/**
 * Passwords as argon2id digests, which cost an attacker with the table as much memory and time for each guess as they cost us.
 *
 * What they cost us needs a bound: each takes 19 MiB and one of libuv's four threads for some 70 ms, and those threads also look up
 * names and read files. So few run at once, few more wait, and beyond that the answer is 503: a storm of logins then slows logins,
 * and nothing else.
 */
import { argon2 as argon2Callback, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { HttpProblem } from '@patterns/kit/problem';

export interface Cost {
  /** In KiB. */
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
}

/** OWASP's first choice for argon2id [Password Storage Cheat Sheet]: 19 MiB, two passes, one lane. */
export const COST: Cost = { memory: 19_456, passes: 2, parallelism: 1 };

const argon2 = promisify(argon2Callback);

export interface HasherOptions {
  cost?: Cost;
  /** Digests computed at a time. 2: half of libuv's threads. */
  concurrent?: number;
  /** Who waits for one of them, at most: some half a second's work. */
  waiting?: number;
  /** Called for each digest that is computed. */
  onHash?: () => void;
}

export type Hasher = ReturnType<typeof createHasher>;

/** @throws {HttpProblem} 503, from both functions, when too many are waiting. */
export function createHasher({ cost = COST, concurrent = 2, waiting = 16, onHash = () => {} }: HasherOptions = {}) {
  let running = 0;
  const queue: (() => void)[] = [];

  async function digest(password: string, nonce: Buffer, { memory, passes, parallelism }: Cost): Promise<Buffer> {
    if (running < concurrent) running++;
    else if (queue.length < waiting)
      await new Promise<void>((resolve) => queue.push(resolve)); // takes over a place
    else throw new HttpProblem(503, { detail: 'too many people log in just now', headers: { 'Retry-After': '1' } });
    try {
      onHash();
      // The same letters may come composed or decomposed, by the keyboard: é is one character, or two.
      const message = password.normalize('NFKC');
      return await argon2('argon2id', { message, nonce, memory, passes, parallelism, tagLength: 32 });
    } finally {
      const next = queue.shift();
      if (next) next();
      else running--;
    }
  }

  return {
    /** The text to keep: `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<digest>`. */
    hash: async (password: string): Promise<string> => {
      const nonce = randomBytes(16);
      const tag = await digest(password, nonce, cost);
      const { memory, passes, parallelism } = cost;
      return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${unpadded(nonce)}$${unpadded(tag)}`;
    },

    /** Whether it is the password; and whether its text was made at another cost than today's, and should be made anew. */
    verify: async (password: string, text: string): Promise<{ isRight: boolean; isOutdated: boolean }> => {
      const kept = parse(text);
      const tag = await digest(password, kept.nonce, kept.cost);
      const isOutdated = (Object.keys(cost) as (keyof Cost)[]).some((name) => kept.cost[name] !== cost[name]);
      return { isRight: tag.length === kept.tag.length && timingSafeEqual(tag, kept.tag), isOutdated };
    },
  };
}

/** Reads the text that other languages write as well. @throws {TypeError} when it is something else. */
function parse(text: string): { cost: Cost; nonce: Buffer; tag: Buffer } {
  const match = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([\w+/]+)\$([\w+/]+)$/.exec(text);
  if (!match) throw new TypeError('not a digest by argon2id');
  const [, memory, passes, parallelism, nonce, tag] = match;
  return {
    cost: { memory: Number(memory), passes: Number(passes), parallelism: Number(parallelism) },
    nonce: Buffer.from(nonce!, 'base64'),
    tag: Buffer.from(tag!, 'base64'),
  };
}

const unpadded = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '');
