/**
 * Where webhooks may go. The URLs are other people's, and the requests come from inside our network: without this, whoever
 * registers `http://169.254.169.254/` has us fetch our own cloud credentials (SSRF).
 *
 * A name is checked when it is dialled, not only when it is registered: DNS may answer with a public address today, and with
 * ours tomorrow, or a second later (DNS rebinding). What decides is the address that the socket is given.
 */
import dns from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';
import { buildConnector } from 'undici';

export class DestinationError extends Error {
  override readonly name = 'DestinationError';
}

export interface DestinationOptions {
  /** Addresses and networks (`127.0.0.1`, `10.1.0.0/16`) that are fine although they are not public, even over plain HTTP. */
  allow?: readonly string[];
  /** Default: the system's resolver. */
  resolve?: LookupFunction;
}

export interface Destinations {
  /** Looks at a URL and resolves its name: for whoever registers it, so that he hears at once. @throws {DestinationError} */
  check(url: string): Promise<void>;
  /** Dials, for undici's Agent. Fails with a DestinationError before the first packet is sent. */
  readonly connect: buildConnector.connector;
}

/** Others could be made to say something to a mail server or a database in our name. */
const PORTS = ['', '443', '8443'];

/** Decides by `allow`. @throws {RangeError} when there is something in it that is no address and no network. */
export function guardDestinations({ allow = [], resolve = dns.lookup }: DestinationOptions = {}): Destinations {
  const allowed = readNetworks(allow);
  const isAllowed = (address: string) => {
    const { kind, text } = normalize(address);
    return allowed.check(text, kind);
  };
  const demandAddress = (address: string) => {
    if (isAllowed(address) || isPublic(address)) return;
    throw new DestinationError(`${address} is not a public address`);
  };

  // #region connect
  /** As `dns.lookup`, but an answer with an address that is not public is an error. The socket dials what this returns. */
  const lookup: LookupFunction = (hostname, options, callback) => {
    resolve(hostname, options, (error, answer, family) => {
      if (error) return callback(error, answer, family);
      try {
        const addresses = Array.isArray(answer) ? answer.map(({ address }) => address) : [answer];
        for (const address of addresses) demandAddress(address);
      } catch (forbidden) {
        return callback(forbidden as Error, answer, family);
      }
      callback(null, answer, family);
    });
  };
  const dial = buildConnector({ lookup, allowH2: false });
  const connect: buildConnector.connector = (options, callback) => {
    try {
      if (isIP(options.hostname)) demandAddress(options.hostname); // nothing to look up: `lookup` would not be asked
    } catch (forbidden) {
      return callback(forbidden as Error, null);
    }
    dial(options, callback);
  };
  // #endregion

  return {
    connect,
    async check(text) {
      const url = readUrl(text);
      const host = url.hostname.replace(/^\[|\]$/g, '');
      if (isIP(host) && isAllowed(host)) return;
      if (url.protocol !== 'https:') throw new DestinationError('the URL must begin with https://');
      if (!PORTS.includes(url.port)) throw new DestinationError(`the port must be one of ${PORTS.slice(1).join(', ')}`);
      if (isIP(host)) return demandAddress(host);
      await new Promise<void>((done, fail) => {
        lookup(host, { all: true }, (error) => (error ? fail(asDestinationError(error, host)) : done()));
      });
    },
  };
}

/** 127.1, 0x7f000001, 2130706433 and 0177.0.0.1 are 127.0.0.1 after this: WHATWG's URL knows the forms that sockets know. */
function readUrl(text: string): URL {
  if (text.length > 2_000 || !URL.canParse(text)) throw new DestinationError('this is not a URL');
  const url = new URL(text);
  if (url.username || url.password) throw new DestinationError('the URL must not contain a password');
  return url;
}

/** Whether an address is one of the public Internet. What is not known to be is not [RFC 6890, and what came after it]. */
export function isPublic(address: string): boolean {
  const { kind, text } = normalize(address);
  // 2000::/3 is all that IANA has ever given out for it; the ranges inside that are something else (6to4, Teredo) have names.
  const isGlobal = kind === 'ipv4' || ipaddr.IPv6.parse(text).match(ipaddr.IPv6.parse('2000::'), 3);
  return isGlobal && ipaddr.parse(text).range() === 'unicast';
}

/** ::ffff:127.0.0.1 is 127.0.0.1 in the clothes of IPv6. */
function normalize(address: string): { kind: 'ipv4' | 'ipv6'; text: string } {
  const parsed = ipaddr.process(address);
  return { kind: parsed.kind(), text: parsed.toString() };
}

function readNetworks(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', bits] = network.split('/');
    if (!isIP(address) || (bits !== undefined && !/^\d{1,3}$/.test(bits))) {
      throw new RangeError(`${network} is neither an address nor a network`);
    }
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(bits), family);
  }
  return list;
}

function asDestinationError(error: Error, host: string): Error {
  if (error instanceof DestinationError) return error;
  return new DestinationError(`${host} cannot be resolved`, { cause: error });
}
