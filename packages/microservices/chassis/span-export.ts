export function exportSpans(_: { service: string; log: unknown }): AsyncDisposable {
  return { async [Symbol.asyncDispose]() {} };
}
