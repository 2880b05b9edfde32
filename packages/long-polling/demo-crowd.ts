/** A crowd of clients, each with one question on a connection of its own. Ends when each has its answer, or with its disposal. */
import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import { askFor, UPDATES_PATH } from './protocol.ts';

/** Lets `size` clients ask for what comes from now on. */
export function gatherCrowd(url: string, size: number) {
  const agent = new Agent();
  const questions = Array.from({ length: size }, (_, i) =>
    get(new URL(askFor(UPDATES_PATH, { waitSeconds: 30, client: `crowd-${i}` }), url), { agent }),
  );
  const answers = questions.map(async (question) => {
    const [response] = (await once(question, 'response')) as [IncomingMessage];
    await response.toArray();
    return { status: response.statusCode, at: performance.now() };
  });
  for (const answer of answers) answer.catch(() => {});
  return {
    /** Resolves when all have an answer: how many of them have news, and after how many milliseconds half and all had it. */
    async woken(since: number) {
      const all = await Promise.all(answers);
      const times = all.map(({ at }) => at - since).sort((a, b) => a - b);
      return {
        withNews: all.filter(({ status }) => status === 200).length,
        medianMs: Math.round(times[times.length >> 1]!),
        lastMs: Math.round(times.at(-1)!),
      };
    },
    async [Symbol.asyncDispose]() {
      for (const question of questions) question.destroy();
      agent.destroy();
    },
  };
}
