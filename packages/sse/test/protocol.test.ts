import { createParser, type EventSourceMessage } from 'eventsource-parser';
import { describe, expect, test } from 'vitest';
import { decodeQuote, encode, encodeQuote, encodeReset, readCursor } from '../protocol.ts';

function parse(text: string): EventSourceMessage[] {
  const messages: EventSourceMessage[] = [];
  createParser({ onEvent: (message) => messages.push(message) }).feed(text);
  return messages;
}

describe('an event as text', () => {
  test.each(['\n', '\r', '\r\n'])('keeps a line break in its data: %j', (lineBreak) => {
    expect(parse(encode({ event: 'note', data: `one${lineBreak}two` }))).toEqual([{ event: 'note', data: 'one\ntwo' }]);
  });

  test.each(['\n', '\r', '\r\n', '\n\n'])('cannot be given fields by its values: %j', (lineBreak) => {
    const forged = `x${lineBreak}data: forged${lineBreak}id: 666-0`;
    const [message, ...rest] = parse(encode({ id: `1-0${forged}`, event: `note${forged}`, data: forged }));
    expect(rest).toEqual([]);
    expect(message?.data.split('\n')[0]).toBe('x');
    expect(message?.id).toBe('1-0xdata: forgedid: 666-0');
    expect(message?.event).toBe('notexdata: forgedid: 666-0');
  });

  test('has an id that a client does not ignore, even with a NULL character in it', () => {
    expect(parse(encode({ id: '1\0-0', event: 'note', data: '' }))[0]?.id).toBe('1-0');
  });

  test('is read back as what it was', () => {
    const event = {
      id: '1795212000000-0',
      topic: 'ACME',
      at: 1795212000000,
      data: { type: 'price', price: 101.32, n: 7 },
    } as const;
    expect(parse(encodeQuote(event)).map(decodeQuote)).toEqual([event]);
  });

  test('takes the cursor away from a client whose cursor has expired', () => {
    expect(parse(encodeReset('gone'))).toEqual([{ id: '', event: 'reset', data: '{"detail":"gone"}' }]);
  });
});

describe('a message that is not ours', () => {
  test.each([
    ['no id', { event: 'price', data: '{"symbol":"ACME","at":1,"price":1,"n":1}' }],
    ['no price', { id: '1-0', event: 'price', data: '{"symbol":"ACME","at":1,"n":1}' }],
    ['no symbol', { id: '1-0', event: 'price', data: '{"at":1,"price":1,"n":1}' }],
    ['no JSON', { id: '1-0', event: 'price', data: 'ACME' }],
    ['null', { id: '1-0', event: 'price', data: 'null' }],
  ])('is refused: %s', (_what, message) => {
    expect(() => decodeQuote(message)).toThrow();
  });
});

describe('the cursor of a request', () => {
  test('is the header, not the query, which a browser repeats unchanged', () => {
    expect(readCursor('2-0', '/?after=1-0')).toBe('2-0');
    expect(readCursor(undefined, '/?after=1-0')).toBe('1-0');
    expect(readCursor('', '/')).toBeUndefined();
  });

  test.each(['x', '1', '1-', '-1-0', '1-0%0A', '01-0', '-', '$', '1-0,2-0'])('is 400 when malformed: %s', (after) => {
    expect(() => readCursor(undefined, `/?after=${after}`)).toThrow(expect.objectContaining({ status: 400 }));
  });
});
