/** What to watch on a gateway beyond what every service counts: how full it is. */
import { Gauge, type Registry } from 'prom-client';
import type { Admission } from './admission.ts';
import type { Streams } from './events.ts';

export function addGauges(
  registry: Registry,
  { admission, streams }: { admission: Admission; streams: Streams },
): void {
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  gauge('gateway_requests_in_flight', 'Requests that were let in and are not answered yet', () => admission.inFlight);
  gauge('gateway_streams_open', 'Customers who follow an order', () => streams.size);
}
