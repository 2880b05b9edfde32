import { expect, test } from 'vitest';
import { decodeJob, encodeJob, JOB_VERSION, MAX_JOB_BYTES, newJob } from '../job.ts';

const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

test('a job is read as it was written', () => {
  const job = newJob({ kind: 'notify', data: { text: 'ü\n"\u2028' }, key: 'customer 1', traceparent });
  expect(decodeJob(encodeJob(job))).toEqual(job);
});

test('each job has an id of its own, unless its producer gives it one', () => {
  const [one, other] = [newJob({ kind: 'notify', data: 1 }), newJob({ kind: 'notify', data: 1 })];
  expect(one.id).not.toBe(other.id);
  expect(newJob({ kind: 'notify', data: 1, id: 'payment-7' }).id).toBe('payment-7');
});

test.each([
  ['no JSON', '{', /must be JSON/],
  ['null', 'null', /must have v/],
  ['a list', '[]', /must have v/],
  ['no version', '{"id":"1"}', /must have v: 1, and has undefined/],
  ['a later version', JSON.stringify({ ...newJob({ kind: 'a', data: 1 }), v: JOB_VERSION + 1 }), /and has 2/],
  ['no id', JSON.stringify({ ...newJob({ kind: 'a', data: 1 }), id: undefined }), /string in id/],
  ['a kind that is a number', JSON.stringify({ ...newJob({ kind: 'a', data: 1 }), kind: 1 }), /string in kind/],
  ['no time', JSON.stringify({ ...newJob({ kind: 'a', data: 1 }), at: null }), /string in at/],
  ['a key that is a number', JSON.stringify({ ...newJob({ kind: 'a', data: 1 }), key: 1 }), /key of a job/],
  ['a trace that is none', JSON.stringify({ ...newJob({ kind: 'a', data: 1 }), traceparent: {} }), /traceparent of a/],
])('%s is no job', (_what, text, message) => {
  expect(() => decodeJob(text)).toThrow(
    expect.objectContaining({ code: 'malformed', message: expect.stringMatching(message) }),
  );
});

test('a job has a largest size, in bytes', () => {
  const { length } = encodeJob(newJob({ kind: 'a', data: '' }));
  const most = 'x'.repeat(MAX_JOB_BYTES - length);
  expect(Buffer.byteLength(encodeJob(newJob({ kind: 'a', data: most })))).toBe(MAX_JOB_BYTES);
  for (const data of [`${most}x`, `${most.slice(1)}ü`]) {
    expect(() => encodeJob(newJob({ kind: 'a', data }))).toThrow(expect.objectContaining({ code: 'too-large' }));
  }
});
