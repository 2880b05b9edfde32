/**
 * The door to every command: `node scripts/start.mjs dev sse` runs `scripts/dev.ts sse`.
 * It is JavaScript, because the system's Node is what runs it when an installation failed, and an old one cannot read TypeScript.
 */
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 24 || (major === 24 && minor < 12)) {
  console.error(
    `This needs Node 24.12 or newer, and got ${process.versions.node}: run "npx --yes pnpm@12 install" here first, it brings its own.`,
  );
  process.exit(1);
}
const [script] = process.argv.splice(2, 1);
await import(new URL(`${script}.ts`, import.meta.url));
