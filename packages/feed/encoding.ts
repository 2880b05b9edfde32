/** How data crosses the log: JSON in one field, written once and parsed once per event. */

/** Throws TypeError for what JSON has no form for: undefined, functions, BigInt, cycles. */
export function encodeData(data: unknown): string {
  const text = JSON.stringify(data) as string | undefined;
  if (text === undefined) throw new TypeError(`data has no JSON form: ${typeof data}`);
  return text;
}

/** Throws SyntaxError. The type is the caller's word: a feed carries what its own producers appended. */
export function decodeData<T>(text: string): T {
  return JSON.parse(text) as T;
}
