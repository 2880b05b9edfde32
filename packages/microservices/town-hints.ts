/** What `node server.ts` says when the town is there: who is who, and what to type in another terminal. */
import type { Town } from './server.ts';

export function sayWhatToDo(town: Town): void {
  const { url } = town;
  const json = "-H 'Content-Type: application/json'";
  const person = `-d '{ "name": "ann", "password": "correct horse battery" }'`;
  const order = `-d '{ "items": [{ "dish": "ramen", "quantity": 2 }], "address": "1 Main Street" }'`;
  const field = (name: string) => `node -pe 'JSON.parse(require("fs").readFileSync(0)).${name}'`;
  console.log(`listening on ${url}
open it in a browser; or, in another terminal:
  pnpm -C packages/microservices client ${url}
or, step by step:
  curl ${url}/signup ${json} ${person}
  token=$(curl -s ${url}/login ${json} ${person} | ${field('access_token')})
  events=$(curl -s ${url}/orders ${json} -H "Authorization: Bearer $token" -H "Idempotency-Key: $RANDOM$RANDOM" ${order} | ${field('events')})
  curl -N "${url}$events"
who is who: ${town.names.map((name) => `${name} ${town.pidOf(name)}`).join(', ')}
kill -9 whom you like, and look who notices: it is started again. ^C ends.`);
}
