/** Trace context: the table of what is valid, and one hop over the wire. */
import { describe, expect, test } from 'vitest';
import { continueTrace, type Trace, toTraceparent } from '../trace.ts';
import { startApi } from './fixtures/start-api.ts';

const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';
const PARENT_ID = 'b7ad6b7169203331';
const VALID = `00-${TRACE_ID}-${PARENT_ID}-01`;

describe('a valid traceparent is continued [W3C Trace Context §3.2.2]', () => {
  test.each([
    ['sampled', VALID, true],
    ['not sampled', `00-${TRACE_ID}-${PARENT_ID}-00`, false],
    ['flags we do not know, sampled', `00-${TRACE_ID}-${PARENT_ID}-ff`, true],
    ['flags we do not know, not sampled', `00-${TRACE_ID}-${PARENT_ID}-fe`, false],
    ['white space around it', ` ${VALID}\t`, true],
    ['a later version of the same length', `01-${TRACE_ID}-${PARENT_ID}-01`, true],
    ['a later version with more fields', `cc-${TRACE_ID}-${PARENT_ID}-01-what-the-future-brings`, true],
  ])('%s', (_what, traceparent, sampled) => {
    expect(continueTrace(traceparent)).toEqual({
      traceId: TRACE_ID,
      parentId: PARENT_ID,
      spanId: expect.stringMatching(/^[0-9a-f]{16}$/),
      sampled,
    });
  });
});

describe('a malformed one is as good as none', () => {
  test.each([
    ['none', undefined],
    ['empty', ''],
    ['version ff', `ff-${TRACE_ID}-${PARENT_ID}-01`],
    ['version of one digit', `0-${TRACE_ID}-${PARENT_ID}-01`],
    ['version of three digits', `000-${TRACE_ID}-${PARENT_ID}-01`],
    ['version that is no number', `.0-${TRACE_ID}-${PARENT_ID}-01`],
    ['a trace id of zeros', `00-${'0'.repeat(32)}-${PARENT_ID}-01`],
    ['a parent id of zeros', `00-${TRACE_ID}-${'0'.repeat(16)}-01`],
    ['upper case in the trace id', `00-${TRACE_ID.toUpperCase()}-${PARENT_ID}-01`],
    ['upper case in the parent id', `00-${TRACE_ID}-${PARENT_ID.toUpperCase()}-01`],
    ['upper case in the version', `CC-${TRACE_ID}-${PARENT_ID}-01`],
    ['a trace id too short', `00-${TRACE_ID.slice(1)}-${PARENT_ID}-01`],
    ['a trace id too long', `00-${TRACE_ID}0-${PARENT_ID}-01`],
    ['a parent id too short', `00-${TRACE_ID}-${PARENT_ID.slice(1)}-01`],
    ['a parent id too long', `00-${TRACE_ID}-${PARENT_ID}0-01`],
    ['flags too short', `00-${TRACE_ID}-${PARENT_ID}-1`],
    ['flags too long', `00-${TRACE_ID}-${PARENT_ID}-011`],
    ['flags that are no number', `00-${TRACE_ID}-${PARENT_ID}-0.`],
    ['a digit that is none', `00-${TRACE_ID.replace('f', 'g')}-${PARENT_ID}-01`],
    ['version 00 with another field', `${VALID}-extra`],
    ['version 00 with a dash behind it', `${VALID}-`],
    ['a later version with something else than a field', `cc-${TRACE_ID}-${PARENT_ID}-01.what`],
    ['spaces within', `00 - ${TRACE_ID}-${PARENT_ID}-01`],
    ['two of them, joined as HTTP joins headers', `${VALID}, ${VALID}`],
    ['something before it', `x${VALID}`],
  ])('%s', (_what, traceparent) => {
    const trace = continueTrace(traceparent);
    expect(trace).toEqual({
      traceId: expect.stringMatching(/^[0-9a-f]{32}$/),
      spanId: expect.stringMatching(/^[0-9a-f]{16}$/),
      sampled: true,
    });
    expect(trace.traceId).not.toBe(TRACE_ID);
  });
});

test('a new trace is another one each time', () => {
  expect(continueTrace(undefined).traceId).not.toBe(continueTrace(undefined).traceId);
});

test('what is sent onward can be continued by the next hop', () => {
  for (const sampled of ['01', '00']) {
    const here = continueTrace(`00-${TRACE_ID}-${PARENT_ID}-${sampled}`);
    expect(toTraceparent(here)).toBe(`00-${TRACE_ID}-${here.spanId}-${sampled}`);
    expect(continueTrace(toTraceparent(here))).toMatchObject({ parentId: here.spanId });
  }
});

test('a server keeps the trace of the request, and gives each hop a span of its own', async () => {
  await using api = await startApi();
  const hop = async (headers: Record<string, string>) => {
    const response = await fetch(`${api.url}/trace`, { headers });
    return (await response.json()) as Trace & { again: Trace; onward: string };
  };
  const [first, second, fresh] = [await hop({ traceparent: VALID }), await hop({ traceparent: VALID }), await hop({})];
  const { again, onward, ...trace } = first;
  expect(trace).toMatchObject({ traceId: TRACE_ID, parentId: PARENT_ID, sampled: true });
  expect(again).toEqual(trace);
  expect(onward).toBe(`00-${TRACE_ID}-${trace.spanId}-01`);
  expect(new Set([PARENT_ID, first.spanId, second.spanId]).size).toBe(3);
  expect(fresh.traceId).not.toBe(TRACE_ID);
  expect(fresh.parentId).toBeUndefined();
});
