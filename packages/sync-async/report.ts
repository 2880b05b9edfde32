/**
 * The work: a yearly report over a company's ledger. It is pure computation, a second for every two million rows or so, and
 * the same function is called in every way that this pattern shows: what differs is where it runs, and who waits.
 */
import type { Report, ReportRequest } from './protocol.ts';

const CATEGORIES = ['rent', 'wages', 'goods', 'travel'] as const;

/** Some milliseconds: so long may it take until somebody who asks it to stop is heard. */
const CHUNK_ROWS = 10_000;

/** Its ledger cannot be read: a report that fails, however often it is begun. */
export const CORRUPT_ACCOUNT = 13;

// #region compute
/**
 * Computes a report. JavaScript cannot be interrupted: a computation that is to be stopped has to ask now and then.
 *
 * @returns the report, or nothing when `isStopped` said so.
 * @throws {Error} when the ledger cannot be read.
 */
export function computeReport({ account, rows }: ReportRequest, isStopped = () => false): Report | undefined {
  let seed = account;
  let balance = 0;
  let checksum = 0x811c9dc5;
  const totals = { rent: 0, wages: 0, goods: 0, travel: 0 };
  for (let row = 0; row < rows; row++) {
    if (row % CHUNK_ROWS === 0 && isStopped()) return undefined;
    // The ledger is made up as it is read: what counts here is that reading it takes time.
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    const amount = (seed >>> 8) % 20_001;
    const category = CATEGORIES[seed >>> 30]!;
    balance += amount - 10_000;
    totals[category] += amount;
    checksum = fnv1a(`${row};${category};${amount};${balance}`, checksum);
  }
  if (account === CORRUPT_ACCOUNT) throw new Error(`the ledger of account ${account} does not add up`);
  return { account, rows, balance, totals, checksum: checksum.toString(16).padStart(8, '0') };
}
// #endregion

function fnv1a(text: string, hash: number): number {
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
