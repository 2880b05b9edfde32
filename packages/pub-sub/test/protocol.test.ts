import { describe, expect, test } from 'vitest';
import { arrivalOf } from '../gap.ts';
import { positionOf, seqOf } from '../log.ts';
import { readNews } from '../news.ts';
import { decode, encode, envelope } from '../protocol.ts';

const message = envelope(
  'news-updates',
  { title: 'T', content: 'C' },
  '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
);

describe('the envelope', () => {
  test('comes out as it went in, with fields that a later publisher may add', () => {
    expect(decode(encode(message))).toEqual(message);
    expect(decode(JSON.stringify({ ...message, mood: 'good' }))).toMatchObject(message);
  });

  test('takes its number from the log that knows it', () => {
    expect(decode(encode(message), 7).seq).toBe(7);
  });

  test.each(['', '{', '7', 'null', '[]', '{"v":"1"}'])('is not %j', (text) => {
    expect(() => decode(text)).toThrow(expect.objectContaining({ code: 'malformed-message' }));
  });

  test.each(['id', 'channel', 'at', 'data'])('needs its %s', (field) => {
    const text = JSON.stringify({ ...message, [field]: undefined });
    expect(() => decode(text)).toThrow(expect.objectContaining({ code: 'malformed-message' }));
  });

  test.each([0, -1, 1.5, '1', 2 ** 60])('has no number %j', (seq) => {
    expect(() => decode(JSON.stringify({ ...message, seq }))).toThrow(
      expect.objectContaining({ code: 'malformed-message' }),
    );
  });

  test('of another version is told apart from rubbish', () => {
    const text = JSON.stringify({ ...message, v: 2 });
    expect(() => decode(text)).toThrow(expect.objectContaining({ code: 'unknown-version' }));
  });
});

test('a number is the next one, was seen, or leaves a gap', () => {
  expect([6, 7, 8, 9].map((seq) => arrivalOf(seq, 7))).toEqual(['seen', 'seen', 'next', 'gap']);
});

test('a position is the number in the log, and nothing else is one', () => {
  expect(seqOf(positionOf(42))).toBe(42);
  for (const text of ['', '42', '1-42', '0-', '0-042', '0--1', '0-1e3', `0-${'9'.repeat(16)}`]) {
    expect(() => seqOf(text), text).toThrow(expect.objectContaining({ code: 'cursor-malformed' }));
  }
});

test('a story needs a number and a title', () => {
  expect(readNews({ ...message, seq: 3 })).toMatchObject({ id: '0-3', topic: 'news-updates', data: { title: 'T' } });
  expect(() => readNews(message)).toThrow(/a number/);
  expect(() => readNews({ ...message, seq: 3, data: { content: 'C' } })).toThrow(/a text of 1 to 200/);
});
