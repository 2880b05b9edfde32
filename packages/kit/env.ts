/**
 * Environment variables, read once, at a process's entry point, and typed from there on.
 * A value that makes no sense ends the program with one line that says what to do (see `main.ts`).
 */

/** A mistake in how the program was started. Its message is one line for the person who started it. */
export class ConfigError extends Error {
  override readonly name: string = 'ConfigError';
}

/** Reads an integer. @throws {ConfigError} when the value is not an integer within the bounds. */
export function envInteger(name: string, fallback: number, { min = 0, max = Number.MAX_SAFE_INTEGER } = {}): number {
  const text = process.env[name];
  if (text === undefined || text === '') return fallback;
  const value = Number(text);
  if (!/^-?\d+$/.test(text) || value < min || value > max) {
    throw new ConfigError(`${name}=${text}: expected an integer from ${min} to ${max}`);
  }
  return value;
}

/** Reads the TCP port to listen on; 0, the default, lets the system choose a free one. @throws {ConfigError} */
export function envPort(name = 'PORT'): number {
  return envInteger(name, 0, { max: 65_535 });
}

/** Reads a URL that has no default. @throws {ConfigError} when it is missing, malformed or of another protocol. */
export function envUrl(name: string, { protocols, hint }: { protocols: string[]; hint: string }): string {
  const text = process.env[name];
  if (!text) throw new ConfigError(`${name} is not set: ${hint}`);
  // The value may hold a password: it is never printed.
  if (!URL.canParse(text) || !protocols.includes(new URL(text).protocol)) {
    throw new ConfigError(`${name} is not a URL that starts with ${protocols.map((p) => `${p}//`).join(' or ')}`);
  }
  return text;
}
