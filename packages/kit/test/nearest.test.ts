/** What was meant by a mistyped name. */
import { expect, test } from 'vitest';
import { nearest } from '../nearest.ts';

const PATTERNS = ['sse', 'polling', 'long-polling', 'request-response', 'connection-pooling', 'rest-vs-graphql'];

test.each([
  ['sse', 'sse'],
  ['see', 'sse'], // changed
  ['sses', 'sse'], // added
  ['poling', 'polling'], // dropped
  ['poll', 'polling'], // three of seven, and no more
  ['longpolling', 'long-polling'], // as near to `polling` as four letters
  ['request-reponse', 'request-response'],
  ['connectionpool', 'connection-pooling'],
  ['rest-vs-graph', 'rest-vs-graphql'],
])('%s: %s', (mistyped, meant) => {
  expect(nearest(mistyped, PATTERNS)).toBe(meant);
});

test.each(['', 'ws', 'websocket', 'x'.repeat(100)])('"%s": nothing is near', (mistyped) => {
  expect(nearest(mistyped, PATTERNS)).toBeUndefined();
});

test('nothing is near when nothing is known', () => {
  expect(nearest('sse', [])).toBeUndefined();
});
