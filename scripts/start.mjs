/**
 * The door to every command: `node scripts/start.mjs dev sse` runs `scripts/dev.ts sse`.
 * It is JavaScript, because the system's Node is what runs it when an installation failed, and an old one cannot read TypeScript.
 */
import { fileURLToPath } from 'node:url';

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 24 || (major === 24 && minor < 12)) {
  console.error(
    `This needs Node 24.12 or newer, and got ${process.versions.node}: run "npx --yes pnpm@12 install" here first, it brings its own.`,
  );
  process.exit(1);
}
// All our processes load the same files: what Node has compiled of them is kept, and halves the time of every later start.
process.env.NODE_COMPILE_CACHE ??= fileURLToPath(new URL('../node_modules/.cache/compiled', import.meta.url));
const [script] = process.argv.splice(2, 1);
await import(new URL(`${script}.ts`, import.meta.url));
