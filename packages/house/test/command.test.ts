/** Commands are real processes, and end as they are told to. */
import { expect, test } from 'vitest';
import { startCommand } from '../command.ts';

test('its exit code is the command’s, and 128 and the number of the signal that ended it', async () => {
  expect(await startCommand('node', ['-e', 'process.exit(3)']).exitCode).toBe(3);
  expect(await startCommand('node', ['-e', 'process.kill(process.pid, "SIGKILL")']).exitCode).toBe(137);
});

test('it runs on the Node and the tools of the repository, at its root', async () => {
  const isOurs = `process.exit(process.version === '${process.version}' && fs.existsSync('pnpm-workspace.yaml') ? 0 : 1)`;
  expect(await startCommand('node', ['-e', isOurs]).exitCode).toBe(0);
});

test('disposed, it is told to stop, and waited for', async () => {
  const command = startCommand('sleep', ['60']);
  await command[Symbol.asyncDispose]();
  expect(await command.exitCode).toBe(143);
});

test('one that does not exist is an error', async () => {
  await expect(startCommand('no-such-program', []).exitCode).rejects.toThrow('ENOENT');
});
