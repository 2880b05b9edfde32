/**
 * `pnpm dev:<pattern>`: finds or starts what the demo needs, runs it as a process of its own, and passes its exit code on.
 * `pnpm dev` alone lists the patterns. Whatever was started is gone when this ends, in whichever way it ends.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { watch } from 'node:fs/promises';
import { parseArgs, styleText } from 'node:util';
import { asOptions, DEMO_FLAGS, flagsHelp, readDemoFlags } from '@patterns/kit/demo';
import { ConfigError } from '@patterns/kit/env';
import { main } from '@patterns/kit/main';
import { type Pattern, patternNamed, patterns } from './patterns.ts';
import { findServices } from './services.ts';

/** An editor's one save is several changes. */
const ONE_SAVE_MS = 500;

await main(async (stack, signal) => {
  const { name, flags } = readArguments();
  if (name === undefined) return console.log(help());
  const pattern = patternNamed(name);
  if (readDemoFlags(pattern.choices, flags).flags.help) return console.log(help(pattern));
  console.log(`${styleText('bold', pattern.name)}: ${pattern.question}${pattern.needs.length > 0 ? '\n' : ''}`);

  const env = { ...process.env, ...(await findServices(pattern, stack, signal)) };
  const run = () =>
    stack.use(
      disposable(
        spawn(process.execPath, [`${pattern.folder}demo.ts`, ...flags], {
          env,
          stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
        }),
      ),
    );
  let demo = run();
  if (flags.includes('--keep')) {
    let startedAt = 0;
    for await (const _change of watch(pattern.folder, { recursive: true, signal })) {
      if (performance.now() - startedAt < ONE_SAVE_MS) continue;
      await demo[Symbol.asyncDispose]();
      console.log(`\n${styleText('bold', 'a file has changed')}: once more\n`);
      demo = run();
      startedAt = performance.now();
    }
  }
  process.exitCode = await demo.exitCode;
  if (!signal.aborted) await stack.disposeAsync();
});

function readArguments(): { name: string | undefined; flags: string[] } {
  const choices = Object.assign({}, ...patterns.map((pattern) => pattern.choices));
  try {
    const options = { ...DEMO_FLAGS, ...asOptions(choices) };
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    const flags = Object.entries(values).map(([name, value]) => (value === true ? `--${name}` : `--${name}=${value}`));
    return { name: positionals[0], flags };
  } catch (error) {
    throw new ConfigError(`${(error as Error).message}\n\n${help()}`, { cause: error });
  }
}

function help(pattern?: Pattern): string {
  const width = Math.max(...patterns.map(({ name }) => name.length));
  return [
    `usage: pnpm dev:${pattern?.name ?? '<pattern>'} [--naive | --sound] [--keep]`,
    flagsHelp(pattern?.choices),
    '',
    'patterns:',
    ...patterns.map(({ name, question }) => `  pnpm dev:${name.padEnd(width)}   ${question}`),
  ].join('\n');
}

function disposable(child: ChildProcess) {
  const exited = once(child, 'exit');
  return {
    exitCode: exited.then(([code]) => (code as number | null) ?? 1),
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      await exited;
    },
  };
}
