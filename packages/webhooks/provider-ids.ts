/** Ids that begin with what they name: `evt_…`, `pay_…`. Somebody who finds one in a log knows what to look for. */
import { randomUUID } from 'node:crypto';

export function newId(kind: 'pay' | 'evt' | 'ep'): string {
  return `${kind}_${randomUUID().replaceAll('-', '')}`;
}
