/**
 * What stands for the gateway that sends short messages: somebody else's, slow, and with numbers that it cannot reach. The
 * environment of a worker sets both, so that you can play with them.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { envInteger } from '@patterns/kit/env';

/** Sends to a number; rejects when there is no way to it, or with the signal's reason. */
export type Gateway = (phone: string, signal?: AbortSignal) => Promise<void>;

export interface GatewayOptions {
  /** How long a message takes. */
  gatewayMs?: number;
  /** The beginning of those numbers that it cannot reach; none if empty. */
  unreachable?: string;
}

/** A refusal comes back sooner than a message is sent. */
const REFUSAL_MS = 5;

export function openGateway({ gatewayMs = 200, unreachable = '' }: GatewayOptions = {}): Gateway {
  return async (phone, signal) => {
    const isReachable = unreachable === '' || !phone.startsWith(unreachable);
    await delay(isReachable ? gatewayMs : REFUSAL_MS, undefined, signal ? { signal } : {});
    if (!isReachable) throw new Error(`the gateway has no route to ${phone}`);
  };
}

/** GATEWAY_MS, GATEWAY_UNREACHABLE. @throws {ConfigError} */
export function gatewayFromEnv(): Gateway {
  return openGateway({
    gatewayMs: envInteger('GATEWAY_MS', 200),
    unreachable: process.env.GATEWAY_UNREACHABLE ?? '',
  });
}
