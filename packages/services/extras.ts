/**
 * The programs that some tests and demos need beyond what npm brings: how to find each, and what the package is called
 * that has it. `pnpm extras` installs them, `pnpm doctor` lists them, `requireExtra` (testing.ts) asks for one.
 */
import { findProgram } from './program.ts';

export interface Extra {
  name: string;
  /** What needs it. */
  needed: string;
  /** Any of these will do: names on PATH, or absolute paths. */
  programs: readonly string[];
  /** Its package, by package manager. */
  packages: Partial<Record<PackageManager, string>>;
}

export type PackageManager = 'apt-get' | 'dnf' | 'apk' | 'brew';

export const extras = {
  redis: {
    name: 'redis',
    needed: 'every pattern that delivers a feed',
    programs: ['redis-server', 'valkey-server'],
    packages: { 'apt-get': 'redis-server', dnf: 'valkey', apk: 'redis', brew: 'redis' },
  },
  nginx: {
    name: 'nginx',
    needed: 'the tests behind a reverse proxy',
    programs: ['nginx'],
    packages: { 'apt-get': 'nginx', dnf: 'nginx', apk: 'nginx', brew: 'nginx' },
  },
  chromium: {
    name: 'chromium',
    needed: 'the tests in a browser',
    programs: [
      'chromium',
      'chromium-browser',
      'google-chrome',
      'google-chrome-stable',
      '/Applications/Chromium.app/Contents/MacOS/Chromium',
      '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
    ],
    packages: { 'apt-get': 'chromium', dnf: 'chromium', apk: 'chromium', brew: '--cask chromium' },
  },
  kcat: {
    name: 'kcat',
    needed: 'the tests over Kafka, where no Kafka is to be had',
    programs: ['kcat', 'kafkacat'], // its name until 2021
    packages: { 'apt-get': 'kcat', brew: 'kcat' },
  },
  rabbitmq: {
    name: 'rabbitmq',
    needed: 'the queue over RabbitMQ',
    // Debian's on PATH is a wrapper that only root and the user `rabbitmq` may call; this is what it wraps.
    programs: ['/usr/lib/rabbitmq/bin/rabbitmq-server', 'rabbitmq-server', '/opt/homebrew/sbin/rabbitmq-server'],
    packages: { 'apt-get': 'rabbitmq-server', dnf: 'rabbitmq-server', brew: 'rabbitmq' },
  },
  nghttp2: {
    name: 'nghttp2',
    needed: 'the tests of HTTP/2 with a client and a load generator that are not ours',
    programs: ['h2load'],
    packages: { 'apt-get': 'nghttp2-client', dnf: 'nghttp2', apk: 'nghttp2', brew: 'nghttp2' },
  },
  python: {
    name: 'python',
    needed: 'the second app behind the sidecar',
    programs: ['python3'],
    packages: { 'apt-get': 'python3', dnf: 'python3', apk: 'python3', brew: 'python3' },
  },
} as const satisfies Record<string, Extra>;

export type ExtraName = keyof typeof extras;

/** The path of the program; undefined when it is not installed. */
export function findExtra(name: ExtraName, env: NodeJS.ProcessEnv = process.env): string | undefined {
  return findProgram(extras[name].programs, env);
}

const installing: Record<PackageManager, string> = {
  brew: 'brew install',
  'apt-get': 'apt-get install -y',
  dnf: 'dnf install -y',
  apk: 'apk add',
};

/** This system's package manager; undefined when it is none that we know. */
export function packageManager(env: NodeJS.ProcessEnv = process.env): PackageManager | undefined {
  const known = Object.keys(installing) as PackageManager[];
  return known.find((name) => findProgram([name], env) !== undefined);
}

/** The command that installs these here, to be shown: "sudo apt-get install -y nginx". */
export function installCommand(wanted: readonly Extra[], env: NodeJS.ProcessEnv = process.env): string | undefined {
  const manager = packageManager(env);
  if (manager === undefined) return undefined;
  const packages = wanted.flatMap(({ packages }) => packages[manager] ?? []);
  if (packages.length === 0) return undefined;
  // brew wants no root, and takes a --cask in a command of its own.
  if (manager === 'brew') return packages.map((each) => `${installing.brew} ${each}`).join(' && ');
  const sudo = process.getuid?.() === 0 ? '' : 'sudo ';
  return `${sudo}${installing[manager]} ${packages.join(' ')}`;
}
