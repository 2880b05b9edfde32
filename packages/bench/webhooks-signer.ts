/**
 * What is measured: signs a body and verifies what came of it, over and over, in a process of its own. Every contestant gets the
 * same bytes and makes the same signature; none parses the body.
 */
import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto';
import { readSecret, sign, verify } from '@patterns/webhooks/signature';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import { Webhook as SvixWebhook } from 'svix';
import { answer } from './processes.ts';

export type Contestant = 'bare node:crypto' | 'ours' | 'standardwebhooks' | 'svix' | 'bare, the key as bytes';

export interface Message {
  secret: string;
  id: string;
  timestampSeconds: number;
  bytes: number;
}

export type Signer = {
  /** The signature, for all to compare. */
  sign: (message: Message) => string;
  /** Processor time of one signing and one verifying, in nanoseconds. */
  run: (work: { message: Message; durationMs: number }) => number;
};

interface Pair {
  sign(): string;
  /** Throws unless it is right. */
  verify(signature: string): void;
}

type Make = (message: Message, body: Buffer) => Pair;

/** The two HMACs and the comparison, and nothing else: no header is looked at. */
const bare =
  (keyOf: (bytes: Buffer) => Buffer | ReturnType<typeof createSecretKey>): Make =>
  ({ secret, id, timestampSeconds }, body) => {
    const key = keyOf(Buffer.from(secret.slice('whsec_'.length), 'base64'));
    const hmac = () => createHmac('sha256', key).update(`${id}.${timestampSeconds}.`).update(body).digest('base64');
    return {
      sign: () => `v1,${hmac()}`,
      verify(signature) {
        if (!timingSafeEqual(Buffer.from(signature), Buffer.from(`v1,${hmac()}`))) throw new Error('no match');
      },
    };
  };

/** A webhook of the packages: svix's is the other's, with headers of another name. */
interface Packaged {
  sign(id: string, at: Date, body: Buffer): string;
  verify(body: Buffer, headers: Record<string, string>): unknown;
}

const packaged =
  (open: (secret: string) => Packaged, prefix?: string): Make =>
  (message, body) => {
    const webhook = open(message.secret);
    const at = new Date(message.timestampSeconds * 1_000);
    const received = headers(message, prefix);
    return {
      sign: () => webhook.sign(message.id, at, body),
      verify: (signature) => void webhook.verify(body, received(signature)),
    };
  };

/** A request's headers, which are there before anybody verifies: only the signature changes, and is put in. */
function headers({ id, timestampSeconds }: Message, prefix = 'webhook') {
  const name = `${prefix}-signature`;
  const all = { [`${prefix}-id`]: id, [`${prefix}-timestamp`]: String(timestampSeconds), [name]: '' };
  return (signature: string) => {
    all[name] = signature;
    return all;
  };
}

const contestants: Record<Contestant, Make> = {
  'bare node:crypto': bare(createSecretKey),
  'bare, the key as bytes': bare((bytes) => bytes),
  ours(message, body) {
    const secrets = [readSecret(message.secret)];
    const received = headers(message);
    return {
      sign: () => sign(secrets, message.id, message.timestampSeconds, body),
      verify(signature) {
        if (verify(secrets, received(signature), body) !== 'verified') throw new Error('no match');
      },
    };
  },
  standardwebhooks: packaged((secret) => {
    const webhook = new StandardWebhook(secret);
    return {
      sign: (id, at, body) => webhook.sign(id, at, body),
      verify: (body, signed) => webhook.verify(body, signed, { jsonParse: false }),
    };
  }),
  svix: packaged((secret) => new SvixWebhook(secret), 'svix'),
};

const make = contestants[process.argv[2] as Contestant];

/** As an event would be: JSON of that many bytes. */
const bodyOf = (bytes: number) => Buffer.from(`{"id":"evt_1","data":"${'a'.repeat(Math.max(0, bytes - 24))}"}`);

answer({
  sign: (message) => make(message, bodyOf(message.bytes)).sign(),
  run({ message, durationMs }) {
    const pair = make(message, bodyOf(message.bytes));
    const rounds = (count: number) => {
      const { user, system } = process.cpuUsage();
      for (let n = 0; n < count; n++) pair.verify(pair.sign());
      const used = process.cpuUsage();
      return used.user - user + (used.system - system);
    };
    let count = 64; // and meanwhile it is compiled
    while (rounds(count) < durationMs * 250) count *= 2;
    return (rounds(count * 4) * 1_000) / (count * 4);
  },
} satisfies Signer);
